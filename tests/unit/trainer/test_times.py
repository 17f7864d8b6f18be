"""The current time, in the form of every document."""

import datetime as dt

from tunewright_trainer.times import format_now


def test_the_current_time():
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    now = dt.datetime.strptime(format_now(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
    assert before <= now <= dt.datetime.now(dt.UTC)
