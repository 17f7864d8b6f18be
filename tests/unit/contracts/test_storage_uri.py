"""Ambiguous URIs are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_contracts.storage_uri import StorageURI, StorageURIError

INVISIBLE = "\x85\xad\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\ue000\U000e0041"


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/a/b", "bucket", "a/b"),
        ("s3://bucket/a/b/", "bucket", "a/b"),
        ("s3://bucket/Füße/数据", "bucket", "Füße/数据"),
    ],
)
def test_parse(text, bucket, key):
    assert StorageURI.parse(text) == StorageURI(bucket, key)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://bucket/a", "must begin with s3://"),
        ("s3://Bucket/a", "not a bucket name"),
        ("s3://b/a", "not a bucket name"),
        ("s3://bucket/a/../b", "'..'"),
        ("s3://bucket/a//b", "empty"),
        ("s3://bucket/./b", "'.'"),
        ("s3://bucket/a%2e%2e/b", "must not contain"),
        ("s3://bucket/a\\b", "must not contain"),
        ("s3://bucket/a?versionId=1", "must not contain"),
        ("s3://bucket/a\nb", "must not contain"),
        ("s3://bucket/" + "a" * 1025, "1024 bytes"),
        *((f"s3://bucket/a{character}b", "must not contain control, bid") for character in INVISIBLE),
    ],
)
def test_parse_refuses(text, problem):
    with pytest.raises(StorageURIError, match="(?s)" + problem.replace(".", r"\.")):
        StorageURI.parse(text)


@pytest.mark.parametrize(
    ("uri", "prefix", "within"),
    [
        ("s3://bucket/a/b", "s3://bucket/a", True),
        ("s3://bucket/a", "s3://bucket/a", True),
        ("s3://bucket/ab", "s3://bucket/a", False),
        ("s3://bucket/a", "s3://bucket", True),
        ("s3://other/a", "s3://bucket", False),
        ("s3://bucket/a", "s3://bucket/a/b", False),
    ],
)
def test_is_within(uri, prefix, within):
    assert StorageURI.parse(uri).is_within(StorageURI.parse(prefix)) is within


_segments = st.lists(st.text("abc.-_", min_size=1, max_size=5).filter(lambda part: part not in {".", ".."}), max_size=4)


@given(_segments, _segments)
def test_join_stays_within(base, parts):
    uri = StorageURI("bucket", "/".join(base))
    joined = uri.join(*parts) if parts else uri
    assert joined.is_within(uri)
    assert StorageURI.parse(str(joined)) == joined


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        ("s3://bucket/a", "s3://bucket/a/", True),
        ("s3://bucket/a/b", "s3://bucket/a", True),
        ("s3://bucket", "s3://bucket/a", True),
        ("s3://bucket/ab", "s3://bucket/a", False),
        ("s3://bucket/a/b", "s3://bucket/a/c", False),
        ("s3://other/a", "s3://bucket/a", False),
    ],
)
def test_overlaps(one, other, overlaps):
    pair = StorageURI.parse(one), StorageURI.parse(other)
    assert pair[0].overlaps(pair[1]) is overlaps
    assert pair[1].overlaps(pair[0]) is overlaps
