"""Mutation testing of the pure decisions: change one operator of a module, and see whether its unit tests fail.

Neither mutmut 3 nor cosmic-ray fits: mutmut maps tests to mutants only for sources below ``./``, ``src/`` or
``source/``, and cosmic-ray writes each mutant into the working tree. Here a mutant lives in the memory of one forked
process.
"""
