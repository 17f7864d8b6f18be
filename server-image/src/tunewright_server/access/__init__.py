"""Who sends a request: the clients that a pod knows, and which aliases each may call."""
