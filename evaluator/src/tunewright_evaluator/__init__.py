"""Score answers, compare arms on the same records, and decide what the evidence proves."""
