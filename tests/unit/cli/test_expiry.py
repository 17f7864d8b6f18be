"""The end of a key is a duration, a time with its zone, or never."""

import datetime as dt

import pytest

from tunewright_cli.errors import CommandError
from tunewright_cli.expiry import parse_duration, parse_expiry

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("12h", 43200), ("90d", 90 * 86400), ("2w", 14 * 86400)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == dt.timedelta(seconds=seconds)
    assert parse_expiry(text, NOW) == NOW + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "90", "d", "1.5d", "-1d", "90 d", "1y", "9999999999d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(CommandError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("never", None),
        ("2026-01-02T00:00:00Z", NOW + dt.timedelta(days=1)),
        ("2026-01-02T02:00:00+02:00", NOW + dt.timedelta(days=1)),
        ("2026-01-01T00:00:00.5Z", NOW + dt.timedelta(seconds=0.5)),
    ],
)
def test_times(text, end):
    assert parse_expiry(text, NOW) == end


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0d", "has passed"),
        ("2025-12-31T00:00:00Z", "has passed"),
        ("2026-01-02T00:00:00", "zone"),
        ("2026-01-02", "zone"),
        ("tomorrow", "neither a duration"),
        ("999999999w", "9999"),
    ],
)
def test_what_is_no_end_is_refused(text, message):
    with pytest.raises(CommandError, match=message):
        parse_expiry(text, NOW)
