"""Scores answers, compares arms on the same records, and says what the evidence proves."""
