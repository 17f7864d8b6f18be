"""Where the object store is, in any cluster: its namespace, Service, URL, region and buckets."""

from __future__ import annotations

from tunewright_dev import topology

NAMESPACE = "object-store"
SERVICE = "s3"
URL = f"https://{SERVICE}.{NAMESPACE}.svc:{topology.OBJECT_STORE_PORT}"
REGION = "us-east-1"
BUCKET = "tunewright"
LOG_BUCKET = "tunewright-logs"
# Where a port-forward ends; the store's certificate names it.
LOOPBACK = "127.0.0.1"
