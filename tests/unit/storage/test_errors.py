"""Reasons are API: each is an identifier with a meaning and a remedy; only transient ones are retried."""

import re

import pytest

from tunewright_storage.errors import StorageError, StorageReason


@pytest.mark.parametrize("reason", StorageReason)
def test_each_reason_is_an_identifier_with_a_meaning_and_a_remedy(reason):
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason)
    assert reason.meaning.endswith(".")
    assert reason.remedy.endswith(".")


def test_only_transient_failures_are_retried():
    retryable = {reason for reason in StorageReason if StorageError(reason, "no").retryable}
    assert retryable == {StorageReason.UNREACHABLE, StorageReason.OTHER}
