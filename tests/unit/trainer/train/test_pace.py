"""Speed and expected end are computed from the last steps, without the pauses between them."""

import datetime as dt

from tunewright_trainer.train.pace import Pace


def test_pace():
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    pace = Pace(total_steps=10)
    assert pace.estimate(now) == {}
    pace.record(0, 0, 100.0)
    assert pace.estimate(now) == {}
    pace.record(1, 1000, 102.0)
    pace.record(2, 2000, 104.0)
    assert pace.estimate(now) == {"tokens_per_second": 500.0, "estimated_finish": "2026-01-01T00:00:16Z"}
    pace.skip(50.0)  # validation
    pace.record(3, 3000, 156.0)
    assert pace.estimate(now)["tokens_per_second"] == 500.0


def test_pace_uses_only_the_last_steps():
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    pace = Pace(total_steps=1000)
    pace.record(0, 0, 0.0)
    for step in range(1, 41):
        pace.record(step, step * 100, 1000.0 + step)
    assert pace.estimate(now)["tokens_per_second"] == 100.0
