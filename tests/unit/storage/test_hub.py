"""A Hub model that cannot be downloaded: the cause decides whether the download is retried."""

import errno
import json
import types

import httpx
import huggingface_hub
import pytest
from huggingface_hub import errors

from tunewright_contracts.locations import HuggingFaceSource
from tunewright_storage import base_model
from tunewright_storage.errors import StorageError, StorageReason

DISK_FULL_IN_OTHER_WORDS = [
    RuntimeError('Os { code: 28, kind: StorageFull, message: "No space left on device" }'),
    ValueError("I/O error: Disk quota exceeded (os error 122)"),
]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Return a function that downloads a Hub model with an error in the description or the files."""

    def download(error, *, of="files"):
        def fail(*_, **__):
            raise error

        def describe(*_, **__):
            return types.SimpleNamespace(sha="a" * 40)

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail if of == "description" else describe)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        source = HuggingFaceSource(repository="org/tiny", revision="main")
        return base_model.download_base_model(None, source, tmp_path / "model", None)

    return download


@pytest.mark.parametrize("of", ["description", "files"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
    ],
)
def test_a_hub_that_does_not_answer_is_unreachable_and_retried(hub, of, error, words):
    with pytest.raises(StorageError, match=r"org/tiny@main: .*; check the network and HF_ENDPOINT") as raised:
        hub(error, of=of)
    assert words in str(raised.value)
    assert raised.value.reason is StorageReason.UNREACHABLE
    assert raised.value.retryable


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Data processing error: I/O error: No space left on device (os error 28)"),  # the form of hf_xet
    ],
)
def test_a_full_disk_is_no_network_failure(hub, error, tmp_path):
    with pytest.raises(OSError, match="no space left for the base model") as raised:
        hub(error)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "model"))


def test_an_unexpected_failure_of_a_download_is_retried(hub):
    with pytest.raises(StorageError, match="org/tiny@main: CAS error") as raised:
        hub(RuntimeError("CAS error: unexpected"))
    assert raised.value.reason is StorageReason.OTHER
    assert raised.value.retryable


def answer(status):
    return httpx.Response(status, request=httpx.Request("GET", "https://hub.test/org/tiny"))


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (errors.GatedRepoError("no", response=answer(403)), StorageReason.ACCESS_DENIED, "accept its licence"),
        (errors.RepositoryNotFoundError("no", response=answer(404)), StorageReason.NOT_FOUND, "does not exist"),
        (errors.RevisionNotFoundError("no", response=answer(404)), StorageReason.NOT_FOUND, "does not exist"),
    ],
)
def test_a_repository_that_is_gated_or_missing_is_not_retried(hub, error, reason, words):
    with pytest.raises(StorageError, match=f"org/tiny@main .*{words}") as raised:
        hub(error, of="description")
    assert raised.value.reason is reason
    assert not raised.value.retryable


HTML = {"content-type": "text/html; charset=utf-8"}


def hub_error(status, text="no", headers=None):
    response = httpx.Response(
        status, headers=headers or {}, request=httpx.Request("GET", "https://hub.test/api/models/org/tiny")
    )
    return errors.HfHubHTTPError(text, response=response)


@pytest.mark.parametrize("of", ["description", "files"])
@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (hub_error(401), StorageReason.ACCESS_DENIED, "HTTP 401; put HF_TOKEN"),
        (hub_error(403), StorageReason.ACCESS_DENIED, "HTTP 403; put HF_TOKEN"),
        (hub_error(400), StorageReason.REJECTED, "HTTP 400"),
        (hub_error(451), StorageReason.REJECTED, "HTTP 451"),
        (hub_error(404), StorageReason.UNREACHABLE, "check the network and HF_ENDPOINT"),
        (hub_error(408), StorageReason.UNREACHABLE, "check the network and HF_ENDPOINT"),
        (hub_error(429), StorageReason.UNREACHABLE, "limits the rate of requests"),
        (hub_error(500), StorageReason.UNREACHABLE, "check the network and HF_ENDPOINT"),
        (hub_error(511, headers=HTML), StorageReason.UNREACHABLE, "captive portal"),
        (hub_error(403, headers=HTML), StorageReason.UNREACHABLE, "captive portal"),
        (hub_error(404, headers=HTML), StorageReason.UNREACHABLE, "captive portal"),
        (hub_error(403, headers=HTML | {"x-request-id": "1"}), StorageReason.ACCESS_DENIED, "put HF_TOKEN"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), StorageReason.UNREACHABLE, "captive portal"),
        (KeyError("id"), StorageReason.UNREACHABLE, "captive portal"),
        (errors.HFValidationError("Repo id is invalid"), StorageReason.INVALID_URI, "correct the repository"),
        (errors.DisabledRepoError("no", response=answer(403)), StorageReason.ACCESS_DENIED, "disabled on the Hub"),
        (errors.RemoteEntryNotFoundError("no", response=answer(404)), StorageReason.NOT_FOUND, "does not exist"),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired"),
            StorageReason.CERTIFICATE_EXPIRED,
            "certificate has expired; check the network and HF_ENDPOINT",
        ),
        (
            httpx.ConnectError("certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)"),
            StorageReason.UNKNOWN_AUTHORITY,
            "local issuer certificate; check the network and HF_ENDPOINT",
        ),
    ],
)
def test_each_answer_has_a_reason_and_a_remedy(hub, of, error, reason, words):
    with pytest.raises(StorageError, match="org/tiny@main") as raised:
        hub(error, of=of)
    assert raised.value.reason is reason
    assert words in str(raised.value)
    assert raised.value.retryable == (reason is StorageReason.UNREACHABLE)


def test_the_answer_behind_a_missing_local_file_decides(hub):
    error = errors.LocalEntryNotFoundError("an error happened while trying to locate the files")
    error.__cause__ = hub_error(403)
    with pytest.raises(StorageError, match="put HF_TOKEN"):
        hub(error)


@pytest.mark.parametrize("error", DISK_FULL_IN_OTHER_WORDS)
def test_a_full_disk_in_other_words(hub, error):
    with pytest.raises(OSError, match="no space left for the base model"):
        hub(error)


def test_messages_name_the_host_of_the_endpoint(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8443/hf\n")
    with pytest.raises(StorageError, match=r"cannot read mirror\.example/org/tiny@main"):
        hub(httpx.ReadTimeout(""))


@pytest.mark.parametrize("endpoint", ["mirror.example", "https://", "ftp://mirror.example", "https://[::1"])
def test_an_endpoint_that_is_no_url_is_rejected(hub, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(StorageError, match=r"HF_ENDPOINT .* is not a URL") as raised:
        hub(httpx.ReadTimeout(""))
    assert raised.value.reason is StorageReason.INVALID_URI


def test_a_download_requests_only_the_resolved_commit_and_the_models_files(monkeypatch, tmp_path):
    asked = {}
    description = types.SimpleNamespace(sha="a" * 40)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: description)
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda repository, **how: asked.update(how, of=repository)
    )
    source = HuggingFaceSource(repository="org/tiny", revision="main")
    assert base_model.download_base_model(None, source, tmp_path / "model", None) == "a" * 40
    assert asked == {
        "of": "org/tiny",
        "revision": "a" * 40,
        "local_dir": tmp_path / "model",
        "allow_patterns": list(base_model.PATTERNS),
    }
