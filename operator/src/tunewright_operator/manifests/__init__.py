"""Pure builders: each returns one Kubernetes object, or a part of one, as a dict."""
