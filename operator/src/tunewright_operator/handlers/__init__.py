"""Kopf's handlers: they only start and wake loops."""
