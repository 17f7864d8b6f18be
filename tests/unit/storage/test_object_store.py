"""The port over S3: digests and conditions (moto stands for S3; tests/e2e runs a real server)."""

import base64
import hashlib
import http.server

import pytest

from support.tls import Authority, serve_https
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


def test_write_if_absent_keeps_an_existing_object(store):
    uri = ROOT.join("manifest.json")
    assert store.write(uri, b"first", if_absent=True) is True
    assert store.write(uri, b"second", if_absent=True) is False
    assert store.read(uri) == b"first"


def test_list_matches_whole_path_segments(store):
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
    with pytest.raises(StorageError, match="more than 4 bytes"):
        store.read(ROOT.join("a"), max_bytes=4)


def test_a_download_over_the_stated_size_writes_nothing(store, tmp_path):
    store.write(ROOT.join("a"), b"12345")
    store.download(ROOT.join("a"), tmp_path / "whole", max_bytes=5)
    with pytest.raises(StorageError, match="has 5 bytes instead of 4") as error:
        store.download(ROOT.join("a"), tmp_path / "more", max_bytes=4)
    assert error.value.reason is StorageReason.DIGEST_MISMATCH
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


class LyingClient:
    """An S3 client that states a length and sends another number of bytes."""

    def __init__(self, stated, sent):
        self.stated, self.sent, self.read = stated, sent, 0

    def get_object(self, **_address):
        return {"Body": self, "ETag": "1", **({} if self.stated is None else {"ContentLength": self.stated})}

    def iter_chunks(self, size):
        while self.read < self.sent:
            self.read += min(size, self.sent - self.read)
            yield b"x" * min(size, self.sent)

    def close(self):
        pass


@pytest.mark.parametrize("stated", [None, 0, 10, 5 << 20])
def test_a_download_stops_at_the_budget_whatever_length_is_stated(tmp_path, stated):
    client = LyingClient(stated, 1 << 40)
    with pytest.raises(StorageError, match=f"instead of {3 << 20}") as error:
        ObjectStore(client).download(ROOT.join("a"), tmp_path / "a", max_bytes=3 << 20)
    assert error.value.reason is StorageReason.DIGEST_MISMATCH
    assert client.read <= 4 << 20
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_no_part(store, tmp_path, monkeypatch):
    store.write(ROOT.join("a"), b"12345")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        store.download(ROOT.join("a"), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_an_upload_in_parts_arrives(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tunewright_storage.object_store._MULTIPART_BYTES", 1)
    (tmp_path / "weights").write_bytes(bytes(range(256)) * (9 << 12))
    digest = store.upload(tmp_path / "weights", ROOT.join("weights"))
    assert store.download(ROOT.join("weights"), tmp_path / "again") == digest


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ENDPOINT_URL_S3", "s3.store.svc:8333"), ("AWS_ENDPOINT_URL_S3", "https://"), ("AWS_REGION", "eu central")],
)
def test_invalid_settings(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="correct AWS_ENDPOINT_URL_S3") as error:
        ObjectStore.from_environment()
    assert error.value.reason is StorageReason.INVALID_URI
    assert not error.value.retryable


class OlderStore(http.server.BaseHTTPRequestHandler):
    """A store that takes objects and parts, and rejects a checksum after the body."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        if "x-amz-trailer" in self.headers or "aws-chunked" in self.headers.get("content-encoding", ""):
            self.close_connection = True
            self.answer(501, b"<Error><Code>NotImplemented</Code><Message>x-amz-trailer</Message></Error>")
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(body)
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert self.headers["x-amz-checksum-sha256"] == checksum
        self.answer(200, b"", {"ETag": '"1"', "x-amz-checksum-sha256": checksum})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        kind = "InitiateMultipartUploadResult" if "uploads" in self.path else "CompleteMultipartUploadResult"
        self.answer(200, f"<{kind}><UploadId>1</UploadId><ETag>1</ETag></{kind}>".encode())

    def do_DELETE(self):
        self.answer(204, b"")

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def older_store(monkeypatch, tmp_path):
    """An `ObjectStore` on an `OlderStore` over https, and the bodies that this takes."""
    authority = Authority(tmp_path)
    with serve_https(OlderStore, authority.issue("localhost")) as server:
        server.bodies = []
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://localhost:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        yield ObjectStore.from_environment(authority.bundle), server.bodies


def test_writes_over_https_to_a_store_without_trailing_checksums(older_store, tmp_path, monkeypatch):
    store, bodies = older_store
    store.check_writable(ROOT)
    assert store.write(ROOT.join("a"), b"document", if_absent=True)
    (tmp_path / "weights").write_bytes(bytes(range(256)) * (9 << 12))
    store.upload(tmp_path / "weights", ROOT.join("weights"))
    monkeypatch.setattr("tunewright_storage.object_store._MULTIPART_BYTES", 1)
    store.upload(tmp_path / "weights", ROOT.join("in-parts"))
    whole = (tmp_path / "weights").read_bytes()
    assert bodies[1:3] == [b"document", whole]
    assert len(bodies) == 5, "a probe, a document, an object and two parts"
    assert sorted(map(len, bodies[3:])) == [1 << 20, 8 << 20]
