"""Times are RFC 3339 in UTC with whole seconds."""

import datetime as dt

from tunewright_contracts.times import format_time


def test_a_time_of_another_zone():
    zone = dt.timezone(dt.timedelta(hours=2))
    assert format_time(dt.datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=zone)) == "2026-01-02T01:04:05Z"
