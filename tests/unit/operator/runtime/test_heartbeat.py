"""The heartbeat of an event loop grows old when the loop does not run."""

from __future__ import annotations

import asyncio
import threading
import time

from prometheus_client import REGISTRY

from tunewright_operator.runtime import heartbeat
from tunewright_operator.runtime.heartbeat import Heartbeat


def block_the_loop(seconds: float) -> None:
    time.sleep(seconds)


def count_long_lags() -> float:
    """Return how many timers of a loop were at least 0.25 s late."""
    lags = "tunewright_operator_loop_lag_seconds"
    total, short = (
        REGISTRY.get_sample_value(f"{lags}_count"),
        REGISTRY.get_sample_value(f"{lags}_bucket", {"le": "0.25"}),
    )
    assert total is not None
    assert short is not None
    return total - short


async def test_it_is_young_while_the_loop_runs_and_old_after_a_stall(monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    beat = Heartbeat()
    beat.start()
    try:
        block_the_loop(0.3)
        assert beat.age() >= 0.3
        stalls = count_long_lags()
        async with asyncio.timeout(60):
            while beat.age() > 0.2:  # noqa: ASYNC110 - no event shows it
                await asyncio.sleep(0.01)
        assert count_long_lags() > stalls
    finally:
        beat.stop()


async def test_another_thread_sees_what_the_loop_executes():
    beat = Heartbeat()
    beat.start()
    seen: list[str] = []
    reader = threading.Timer(0.1, lambda: seen.append(beat.format_stack()))
    reader.start()
    block_the_loop(0.5)
    reader.join()
    beat.stop()
    assert "block_the_loop" in seen[0]
