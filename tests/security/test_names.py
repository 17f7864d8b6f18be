"""A tenant makes two things look or be called the same: another adapter, or another address."""

from __future__ import annotations

import pytest

from tunewright_contracts.adapter_manifest import REVISION_DIGITS, is_name_of, revision_name
from tunewright_contracts.storage_uri import StorageURI, StorageURIError


def test_another_adapter_with_the_name_of_a_good_one():
    """12 digits were 48 bits: a few days of hashing find an adapter with the name of another one."""
    good, bad = "sha256:" + "a" * 64, "sha256:" + "a" * (REVISION_DIGITS - 1) + "b" * (65 - REVISION_DIGITS)
    assert REVISION_DIGITS * 4 >= 80
    assert revision_name("support", good) != revision_name("support", bad)
    assert not is_name_of(revision_name("support", good), bad)


@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u2066", "\u200f", "\u2028", "\u2029", "\x85", "\u200b", "\ufeff", "\x1b"],
    ids=ascii,
)
def test_an_address_that_reads_as_another_one(character: str):
    """In a condition or a log, bidirectional and invisible characters show another address or another line."""
    with pytest.raises(StorageURIError) as refused:
        StorageURI.parse(f"s3://bucket/adapters/team-a{character}")
    assert character not in str(refused.value)
