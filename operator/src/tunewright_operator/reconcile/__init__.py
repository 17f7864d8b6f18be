"""One module per kind: observe, decide, act, report."""
