"""Mutation testing of the pure decisions: change one operator of a module, and check whether its unit tests fail.

Neither mutmut 3 nor cosmic-ray is suitable: mutmut maps tests to mutants only for sources below ``./``, ``src/`` or
``source/``, and cosmic-ray writes each mutant into the working tree. Here a mutant exists only in the memory of a
forked process.
"""
