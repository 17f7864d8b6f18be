"""Each answer is counted once, and judged when the ledger has all it needs."""

from __future__ import annotations

import pytest

from tunewright_dev.demo.observed.answers import SETTLE_SECONDS, Answer, Tally
from tunewright_dev.demo.observed.ledger import Ledger, PlanEntry

REVISION = "support--aaa"


def answer(number=1, **changes):
    known = {"number": number, "start": 10, "end": 12, "session": "customer-1", "kind": "ticket", "status": 200}
    return Answer(**{**known, "revision": REVISION, "model": "support", "answer": "{}", **changes})


@pytest.fixture
def tally():
    ledger = Ledger()
    ledger.record_plan(PlanEntry(1, 0, 0, {"support": {REVISION: 100}, "billing": {"billing--ccc": 100}}))
    ledger.record_pods(1, {"a": 1})
    return Tally("support", ledger)


def test_a_correct_answer_is_counted_by_its_revision(tally):
    tally.add(answer())
    tally.judge()
    assert (tally.total, tally.by_revision, tally.wrong, tally.failed) == (1, {REVISION: 1}, [], [])


@pytest.mark.parametrize("revision", ["", "support--bbb", "billing--ccc", "base-model"])
def test_an_answer_by_another_revision_is_wrong(tally, revision):
    tally.add(answer(revision=revision))
    tally.judge()
    assert len(tally.wrong) == 1
    assert REVISION in tally.wrong[0]


def test_an_answer_that_names_another_model_than_the_alias_is_wrong(tally):
    tally.add(answer(model=REVISION))
    tally.judge()
    assert tally.wrong == [f"answer 1 has the model '{REVISION}'; clients asked 'support'"]


@pytest.mark.parametrize("status", [0, 302, 404, 503])
def test_an_answer_without_success_is_failed_and_not_wrong(tally, status):
    tally.add(answer(status=status, revision="", model=""))
    tally.judge()
    assert (len(tally.failed), tally.wrong, dict(tally.by_revision)) == (1, [], {})


def test_a_log_that_is_read_again_counts_no_answer_twice(tally):
    assert tally.add(answer(1))
    assert tally.add(answer(2))
    assert not tally.add(answer(1))
    assert not tally.add(answer(2))
    assert tally.total == 2


def test_an_answer_is_judged_only_after_its_plan_must_have_been_seen(tally):
    tally.add(answer(revision="support--bbb", end=100))
    tally.judge(100 + SETTLE_SECONDS - 0.1)
    assert not tally.wrong
    tally.judge(100 + SETTLE_SECONDS)
    tally.judge()
    assert len(tally.wrong) == 1
