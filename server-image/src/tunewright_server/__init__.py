"""Serve a plan's adapters from inside vLLM: a pure ASGI middleware that loads, routes, counts and reports."""
