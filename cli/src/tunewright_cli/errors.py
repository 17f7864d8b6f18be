"""Why a command ends without success, and its exit code."""

from __future__ import annotations

from typing import ClassVar


class CommandError(Exception):
    """The command cannot do what the user asked for; the message explains why, and what to do."""

    exit_code: ClassVar[int] = 1


class NotPropagatedError(CommandError):
    """The cluster has the change, but not every replica is known to apply it."""

    exit_code: ClassVar[int] = 3
