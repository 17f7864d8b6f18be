"""Reasons are API: each is an identifier with a meaning and a remedy, and none is also one of another package."""

import re

import pytest

from tunewright_storage.errors import StorageReason
from tunewright_trainer.errors import Reason, TrainerError


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_an_identifier_with_a_meaning_and_a_remedy(reason):
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason)
    assert reason.meaning.endswith((".", ")"))
    assert reason.remedy.endswith((".", ")"))


def test_no_reason_is_also_one_of_storage():
    assert {str(reason) for reason in Reason} & {str(reason) for reason in StorageReason} == set()


def test_an_error_is_final_by_default():
    error = TrainerError(Reason.DIVERGED, "the loss became NaN; lower training.learningRate")
    assert (error.reason, error.retryable) == (Reason.DIVERGED, False)
    assert str(error) == "the loss became NaN; lower training.learningRate"
