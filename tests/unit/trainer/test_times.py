"""Times are RFC 3339 in UTC with whole seconds, from any time zone."""

import datetime as dt

from tunewright_contracts.times import format_time
from tunewright_trainer.times import format_now


def test_a_time_of_another_zone():
    zone = dt.timezone(dt.timedelta(hours=2))
    assert format_time(dt.datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=zone)) == "2026-01-02T01:04:05Z"


def test_now():
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    now = dt.datetime.strptime(format_now(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
    assert before <= now <= dt.datetime.now(dt.UTC)
