"""The names and addresses of the object store in any cluster."""

from __future__ import annotations

from tunewright_dev import topology

NAMESPACE = "object-store"
SERVICE = "s3"
URL = f"https://{SERVICE}.{NAMESPACE}.svc:{topology.OBJECT_STORE_PORT}"
REGION = "us-east-1"
BUCKET = "tunewright"
LOG_BUCKET = "tunewright-logs"
# The address of a port-forward; the store's certificate is valid for it.
LOOPBACK = "127.0.0.1"
