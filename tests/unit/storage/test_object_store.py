"""The port over S3: digests, conditions and failures (moto stands for S3; tests/e2e runs a real server)."""

import hashlib
import socket

import pytest

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore

ROOT = StorageURI.parse("s3://bucket/team")


def test_upload_and_download_agree_on_the_digest(store, tmp_path):
    source = tmp_path / "a.bin"
    source.write_bytes(b"content")
    expected = "sha256:" + hashlib.sha256(b"content").hexdigest()
    assert store.upload(source, ROOT.join("a.bin")) == expected
    assert store.download(ROOT.join("a.bin"), tmp_path / "deep" / "b.bin") == expected
    assert (tmp_path / "deep" / "b.bin").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b.bin"]


def test_write_if_absent_keeps_what_is_there(store):
    uri = ROOT.join("manifest.json")
    assert store.write(uri, b"first", if_absent=True) is True
    assert store.write(uri, b"second", if_absent=True) is False
    assert store.read(uri) == b"first"


def test_list_is_by_whole_segments(store):
    for key in ("a/1", "a/2", "ab/3"):
        store.write(ROOT.join(key), b"x")
    assert [str(item.uri) for item in store.list(ROOT.join("a"))] == ["s3://bucket/team/a/1", "s3://bucket/team/a/2"]
    assert [item.size for item in store.list(ROOT.join("ab/3"))] == [1]


def test_list_version_changes_with_the_content(store):
    store.write(ROOT.join("a"), b"x")
    (before,) = store.list(ROOT)
    store.write(ROOT.join("a"), b"y")
    (after,) = store.list(ROOT)
    assert before.version != after.version


def test_delete_prefix(store):
    for key in ("a/1", "a/2", "ab/3"):
        store.write(ROOT.join(key), b"x")
    assert store.delete_prefix(ROOT.join("a")) == 2
    assert [str(item.uri) for item in store.list(ROOT)] == ["s3://bucket/team/ab/3"]


def test_exists(store):
    store.write(ROOT.join("a"), b"x")
    assert store.exists(ROOT.join("a"))
    assert not store.exists(ROOT.join("b"))


def test_check_writable_leaves_nothing(store):
    store.check_writable(ROOT)
    assert list(store.list(ROOT)) == []


def test_read_stops_at_the_limit(store):
    store.write(ROOT.join("a"), b"12345")
    assert store.read(ROOT.join("a"), max_bytes=5) == b"12345"
    with pytest.raises(StorageError, match="over 4 bytes"):
        store.read(ROOT.join("a"), max_bytes=4)


def test_missing_object_and_bucket(store):
    with pytest.raises(
        StorageError, match=r"cannot read s3://bucket/team/none: NoSuchKey; check that the object"
    ) as missing:
        store.read(ROOT.join("none"))
    assert missing.value.reason is StorageReason.NOT_FOUND
    assert not missing.value.retryable
    with pytest.raises(StorageError, match="create the bucket") as no_bucket:
        list(store.list(StorageURI.parse("s3://nobody/a")))
    assert no_bucket.value.reason is StorageReason.NO_SUCH_BUCKET


def test_unreachable_store_is_a_passing_failure(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL_S3") as error:
        ObjectStore.from_environment().read(ROOT)
    assert error.value.reason is StorageReason.UNREACHABLE
    assert error.value.retryable


def test_missing_credentials(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(StorageError, match="put AWS_ACCESS_KEY_ID") as error:
        ObjectStore.from_environment().read(ROOT)
    assert error.value.reason is StorageReason.NO_CREDENTIALS
