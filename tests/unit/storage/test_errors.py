"""Reasons are API: each is a word with a meaning and a remedy; only those that may pass are tried again."""

import re

import pytest

from tunewright_storage.errors import StorageError, StorageReason


@pytest.mark.parametrize("reason", StorageReason)
def test_each_reason_is_a_word_with_a_meaning_and_a_remedy(reason):
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason)
    assert reason.meaning.endswith(".")
    assert reason.remedy.endswith(".")


def test_only_what_may_pass_without_a_change_is_tried_again():
    retryable = {reason for reason in StorageReason if StorageError(reason, "no").retryable}
    assert retryable == {StorageReason.UNREACHABLE, StorageReason.OTHER}
