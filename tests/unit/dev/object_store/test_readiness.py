from __future__ import annotations

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.object_store import readiness


def test_both_buckets_are_created_when_the_store_answers(monkeypatch):
    answers, made = iter([False, False, True, True]), []
    monkeypatch.setattr(readiness.buckets, "ensure", lambda _client, bucket: made.append(bucket) or next(answers))
    monkeypatch.setattr(readiness.waiting, "POLL_SECONDS", 0.0)
    readiness.ensure_buckets(object())
    assert made == ["tunewright", "tunewright", "tunewright", "tunewright-logs"]


def test_a_store_that_does_not_answer_is_reported_with_the_command_that_shows_its_log(monkeypatch):
    monkeypatch.setattr(readiness.buckets, "ensure", lambda *_: False)
    monkeypatch.setattr(readiness, "_READY_SECONDS", 0)
    monkeypatch.setattr(readiness.waiting, "POLL_SECONDS", 0.0)
    with pytest.raises(DevError, match="kubectl --namespace object-store logs deployment/seaweedfs"):
        readiness.ensure_buckets(object())
