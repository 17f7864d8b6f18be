"""When a key ends: a duration such as ``90d``, a time, or ``never``."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from tunewright_cli.errors import CommandError

NEVER: Final = "never"
DEFAULT_EXPIRY: Final = "90d"
_DURATION: Final = re.compile(r"(\d{1,9})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> dt.timedelta:
    """Return a duration of a number and a unit.

    Raises:
        CommandError: it is no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise CommandError(f"{text!r} is not a duration; write a number and one of s, m, h, d, w, for example 90d")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


def parse_expiry(text: str, now: dt.datetime) -> dt.datetime | None:
    """Return when a key ends; None if it does not.

    Raises:
        CommandError: it is neither a duration nor a time (RFC 3339), or the time has passed.
    """
    if text == NEVER:
        return None
    try:
        end = now + parse_duration(text) if _DURATION.fullmatch(text) else _parse_time(text)
    except OverflowError as error:
        raise CommandError(f"{text!r} is later than the year 9999; write {NEVER} for a key without an end") from error
    if end <= now:
        raise CommandError(f"the key would end at {text}, which has passed")
    return end


def _parse_time(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(
            f"{text!r} is neither a duration (90d) nor a time with its zone (2027-02-25T00:00:00Z) nor {NEVER}"
        )
    return moment.astimezone(dt.UTC)
