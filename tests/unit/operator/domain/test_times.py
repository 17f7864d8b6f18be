"""Times that the API server wrote."""

from __future__ import annotations

import datetime as dt

import pytest

from tunewright_contracts.times import format_time
from tunewright_operator.domain.times import parse_time, seconds_since

NOW = dt.datetime(2026, 1, 31, 12, 0, 30, tzinfo=dt.UTC)


def test_a_written_time_is_read_back() -> None:
    assert parse_time(format_time(NOW)) == NOW
    assert parse_time("2026-01-31T13:00:30+01:00") == NOW


def test_seconds_since_a_time() -> None:
    assert seconds_since("2026-01-31T12:00:00Z", NOW) == 30
    assert seconds_since("2026-01-31T12:01:00Z", NOW) == -30


def test_a_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="soon"):
        parse_time("soon")
