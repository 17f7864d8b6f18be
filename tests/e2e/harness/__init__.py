"""What end-to-end tests share: kubectl, the bucket, waiting, and what is kept of a failure."""
