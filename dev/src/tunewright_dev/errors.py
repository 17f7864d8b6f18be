"""The one error that a person using the program sees."""

from __future__ import annotations


class DevError(Exception):
    """Say what was wrong, where, and what to do; printed without a traceback, exit code 1."""
