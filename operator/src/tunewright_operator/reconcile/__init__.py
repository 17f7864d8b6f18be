"""The loops, one module for each kind: observe, decide, act, report."""
