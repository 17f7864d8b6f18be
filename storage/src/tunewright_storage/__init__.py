"""S3 as Tunewright's pods use it: verified, conditional, behind a private CA; never imported by the operator."""
