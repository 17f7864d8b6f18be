"""The only error that users of the program see."""

from __future__ import annotations


class DevError(Exception):
    """A failure with a message that states what was wrong, where, and what to do; the exit code is 1."""
