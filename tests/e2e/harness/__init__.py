"""Helpers of the end-to-end tests: kubectl, the bucket, waits, and the evidence of a failure."""
