"""Measure the operator at scale against a real etcd and API server, with a Go operator beside it."""
