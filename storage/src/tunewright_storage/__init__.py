"""Access to S3 for Tunewright's pods, with checksums, conditional writes and a private CA; the operator has none."""
