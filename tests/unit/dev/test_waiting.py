from __future__ import annotations

import pytest

from tunewright_dev import waiting
from tunewright_dev.errors import DevError


def test_a_wait_ends_when_the_condition_is_true(monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.0)
    answers = iter([False, False, True])
    waiting.wait_for("it", lambda: next(answers), timeout=60)
    assert list(answers) == []


def test_a_condition_that_is_not_met_is_named_with_its_explanation(monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.0)
    with pytest.raises(DevError, match=r"^Timed out after 0 s, waiting for the end\. See the log\.$"):
        waiting.wait_for("the end", lambda: False, timeout=0, explain=lambda: "See the log.")
