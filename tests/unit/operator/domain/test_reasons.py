"""Reasons are API: each is a valid word, is documented, and those of the images agree with the images."""

from __future__ import annotations

import re

import pytest

from tunewright_contracts.reasons import Reason
from tunewright_operator.domain import reasons
from tunewright_operator.domain.reasons import FineTuneJobReason, condition_reason

ENUMS = [
    value
    for value in vars(reasons).values()
    if isinstance(value, type) and issubclass(value, Reason) and value is not Reason
]


@pytest.mark.parametrize("reason", [reason for enum in ENUMS for reason in enum], ids=str)
def test_each_reason_is_a_word_with_a_meaning_and_a_remedy(reason: Reason):
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason.value)
    assert reason.meaning.endswith((".", ")"))
    assert reason.remedy.endswith(".")
    assert str(reason) == reason.value


def test_a_pods_word_is_taken_only_when_it_may_stand_in_a_condition():
    assert condition_reason("InvalidRecords", FineTuneJobReason.POD_KILLED) == "InvalidRecords"
    for word in ("", "two words", "x" * 200, "<script>", "9lives"):
        assert condition_reason(word, FineTuneJobReason.POD_KILLED) == "PodKilled"
