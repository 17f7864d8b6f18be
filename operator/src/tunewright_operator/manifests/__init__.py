"""PURE builders: each returns one Kubernetes object as a dict."""
