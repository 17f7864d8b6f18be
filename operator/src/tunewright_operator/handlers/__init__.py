"""Kopf decorators only: they start a loop or wake one."""
