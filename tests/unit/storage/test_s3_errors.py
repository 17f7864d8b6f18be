"""Every failure of S3, or of a server in its place, becomes a reason and a message with a remedy."""

import http.server
import socket
import threading
from pathlib import Path

import pytest
from botocore.config import Config

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore

ROOT = StorageURI.parse("s3://bucket/team")


def test_missing_object_and_bucket(store):
    with pytest.raises(
        StorageError, match=r"cannot read s3://bucket/team/none: NoSuchKey; check that the object"
    ) as missing:
        store.read(ROOT.join("none"))
    assert missing.value.reason is StorageReason.NOT_FOUND
    assert not missing.value.retryable
    with pytest.raises(StorageError, match="create the bucket") as no_bucket:
        list(store.list(StorageURI.parse("s3://no-such-bucket/a")))
    assert no_bucket.value.reason is StorageReason.NO_SUCH_BUCKET


def test_an_unreachable_store_is_a_transient_failure(monkeypatch):
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


class Answering(http.server.BaseHTTPRequestHandler):
    """A server in the object store's place that answers with one status and HTML."""

    protocol_version = "HTTP/1.1"  # botocore waits a second for "100 Continue" of an older one

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = getattr(self.server, "body", b"<html>no S3 here</html>")
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self):
        self.do_GET()

    def do_POST(self):
        self.do_GET()

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(monkeypatch):
    """A server that answers every request with its `status`; AWS_* set it as the endpoint, without retries."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr("tunewright_storage.object_store.Config", lambda **given: Config(**given | {"retries": ONCE}))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


ONCE = {"mode": "standard", "total_max_attempts": 1}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, StorageReason.ACCESS_DENIED),
        (403, StorageReason.ACCESS_DENIED),
        (400, StorageReason.REJECTED),
        (404, StorageReason.UNREACHABLE),
        (405, StorageReason.NOT_SUPPORTED),
        (407, StorageReason.REJECTED),
        (408, StorageReason.UNREACHABLE),
        (418, StorageReason.REJECTED),
        (429, StorageReason.UNREACHABLE),
        (501, StorageReason.NOT_SUPPORTED),
        (507, StorageReason.QUOTA),
        (521, StorageReason.UNREACHABLE),
        (502, StorageReason.UNREACHABLE),
        (503, StorageReason.UNREACHABLE),
        (504, StorageReason.UNREACHABLE),
    ],
)
def test_a_proxy_that_answers_in_the_stores_place(proxy, status, reason):
    proxy.status = status
    with pytest.raises(StorageError) as error:
        ObjectStore.from_environment().read(ROOT)
    assert error.value.reason is reason


FOREIGN_BODIES = {
    "nothing": b"",
    "a Go server's text": b"404 page not found\n",
    "HTML that is XML": b"<html><body><h1>404 Not Found</h1></body></html>",
    "HTML that is no XML": b"<!DOCTYPE html><html><head><meta charset=utf-8><title>Not Found</title></head>",
    "JSON": b'{"code": "NoSuchKey", "message": "no route"}',
    "XML of another program": b"<?xml version='1.0'?><Fault><Code>404</Code><Text>no route</Text></Fault>",
    "an S3 error without a code": b"<Error><Message>not found</Message></Error>",
    "a code that is a status": b"<Error><Code>404</Code></Error>",
    "an unknown code": b"<Error><Code>NoSuchRoute</Code></Error>",
}
CALLS = {
    "list": lambda store, _folder: list(store.list(ROOT)),
    "exists": lambda store, _folder: store.exists(ROOT),
    "read": lambda store, _folder: store.read(ROOT, 9),
    "download": lambda store, folder: store.download(ROOT, folder / "copy"),
    "upload": lambda store, _folder: store.upload(Path(__file__), ROOT),
    "write": lambda store, _folder: store.write(ROOT, b"x"),
    "write if absent": lambda store, _folder: store.write(ROOT, b"x", if_absent=True),
    "delete": lambda store, _folder: store.delete_prefix(ROOT),
    "check": lambda store, _folder: store.check_writable(ROOT),
}


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, body) for body in FOREIGN_BODIES.values()]
    + [(200, body) for body in (b"", b"<html><body>Sign in</body></html>", b"Sign in")],
)
def test_an_answer_that_is_not_the_stores_means_neither_presence_nor_absence(proxy, tmp_path, status, body):
    proxy.status, proxy.body = status, body
    store = ObjectStore.from_environment()
    for name, call in CALLS.items():
        with pytest.raises(StorageError, match=r"may have answered|NoSuchRoute") as error:
            call(store, tmp_path)
        assert error.value.reason is StorageReason.UNREACHABLE, name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "reason"), [("NoSuchKey", StorageReason.NOT_FOUND), ("NoSuchBucket", StorageReason.NO_SUCH_BUCKET)]
)
def test_absence_is_the_stores_own_word(proxy, code, reason):
    proxy.status, proxy.body = 404, f"<Error><Code>{code}</Code></Error>".encode()
    with pytest.raises(StorageError) as error:
        ObjectStore.from_environment().read(ROOT)
    assert error.value.reason is reason
    if reason is StorageReason.NOT_FOUND:
        assert ObjectStore.from_environment().exists(ROOT) is False
    else:
        with pytest.raises(StorageError, match="create the bucket"):
            ObjectStore.from_environment().exists(ROOT)


@pytest.mark.parametrize(
    ("status", "code", "reason", "advice"),
    [
        (400, "AuthorizationHeaderMalformed", StorageReason.WRONG_REGION, "AWS_REGION"),
        (400, "EntityTooLarge", StorageReason.TOO_LARGE, "split"),
        (400, "ExpiredToken", StorageReason.CREDENTIALS_EXPIRED, "AWS_SESSION_TOKEN"),
        (400, "TokenRefreshRequired", StorageReason.CREDENTIALS_EXPIRED, "AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", StorageReason.CLOCK_SKEW, "synchronize both clocks"),
        (403, "InvalidObjectState", StorageReason.ARCHIVED, "restore the object"),
        (501, "NotImplemented", StorageReason.NOT_SUPPORTED, "upgrade the object store"),
        (405, "MethodNotAllowed", StorageReason.NOT_SUPPORTED, "upgrade the object store"),
        (400, "KMS.DisabledException", StorageReason.ENCRYPTION_KEY, "enable the KMS key"),
        (400, "KMS.NotFoundException", StorageReason.ENCRYPTION_KEY, "enable the KMS key"),
        (400, "KMS.KMSInvalidStateException", StorageReason.ENCRYPTION_KEY, "enable the KMS key"),
        (403, "QuotaExceeded", StorageReason.QUOTA, "raise the quota"),
        (507, "XMinioStorageFull", StorageReason.QUOTA, "raise the quota"),
        (409, "InvalidBucketState", StorageReason.REJECTED, r"InvalidBucketState \(no\); correct what the message"),
        (400, "InvalidArgument", StorageReason.REJECTED, r"InvalidArgument \(no\); correct what the message names"),
        (422, "UnknownCode", StorageReason.REJECTED, r"UnknownCode \(no\); correct what the message names"),
    ],
)
def test_permanent_failures_are_not_retried(proxy, status, code, reason, advice):
    proxy.status = status
    proxy.body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with pytest.raises(StorageError, match=advice) as error:
        ObjectStore.from_environment().write(ROOT, b"x")
    assert (error.value.reason, error.value.retryable) == (reason, False)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "RequestTimeout"),
        (400, "BadDigest"),
        (400, "KMS.ThrottlingException"),
        (400, "ThrottlingException"),
        (403, "RequestLimitExceeded"),
        (409, "OperationAborted"),
        (503, "SlowDown"),
        (503, "XMinioServerNotInitialized"),
    ],
)
def test_a_store_that_is_busy_is_waited_for(proxy, status, code):
    proxy.status = status
    proxy.body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with pytest.raises(StorageError) as error:
        ObjectStore.from_environment().write(ROOT, b"x")
    assert error.value.reason is StorageReason.UNREACHABLE


def test_an_endpoint_that_redirects(proxy):
    proxy.status = 301
    with pytest.raises(StorageError, match="answers only with redirects") as error:
        ObjectStore.from_environment().read(ROOT)
    assert error.value.reason is StorageReason.UNREACHABLE


def test_a_refused_upload_in_parts_has_the_reason_of_the_refusal(proxy, tmp_path, monkeypatch):
    proxy.status = 403
    monkeypatch.setattr("tunewright_storage.object_store._MULTIPART_BYTES", 1)
    (tmp_path / "weights").write_bytes(b"x" * (9 << 20))
    with pytest.raises(StorageError) as error:
        ObjectStore.from_environment().upload(tmp_path / "weights", ROOT.join("weights"))
    assert error.value.reason is StorageReason.ACCESS_DENIED


def test_https_to_an_http_server_does_not_blame_the_authority(proxy, monkeypatch):
    proxy.status = 200
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{proxy.server_port}")
    with pytest.raises(StorageError, match="wrong version number; check AWS_ENDPOINT_URL_S3") as error:
        ObjectStore.from_environment().read(ROOT)
    assert error.value.reason is StorageReason.UNREACHABLE


def test_a_bundle_without_a_certificate_blames_the_authority(proxy, monkeypatch, tmp_path):
    proxy.status = 200
    (tmp_path / "ca.crt").write_text("nothing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{proxy.server_port}")
    with pytest.raises(StorageError, match=r"as ca\.crt") as error:
        ObjectStore.from_environment(tmp_path / "ca.crt").read(ROOT)
    assert error.value.reason is StorageReason.UNKNOWN_AUTHORITY


def test_a_message_ends_with_the_remedy_of_its_reason(store):
    with pytest.raises(StorageError) as error:
        store.read(ROOT.join("none"))
    assert str(error.value).endswith(f"; c{StorageReason.NOT_FOUND.remedy[1:-1]}")


@pytest.mark.parametrize("reason", StorageReason)
def test_a_remedy_is_one_sentence(reason):
    assert reason.remedy.endswith(".")
    assert ". " not in reason.remedy
