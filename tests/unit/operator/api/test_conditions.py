"""Conditions: how one is found and read."""

from __future__ import annotations

from tunewright_operator.api.conditions import Condition, find_condition


def test_find_condition() -> None:
    ready = Condition(type="Ready", status="True", reason="Serving", last_transition_time="2026-01-01T00:00:00Z")
    assert find_condition([ready], "Ready") is ready
    assert find_condition([ready], "Stalled") is None
    assert ready.is_true
