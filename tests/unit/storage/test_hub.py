"""A Hub model that cannot be downloaded: the cause decides whether the download is retried."""

import errno
import types

import httpx
import huggingface_hub
import pytest
from huggingface_hub import errors

from tunewright_contracts.locations import HuggingFaceSource
from tunewright_storage import base_model
from tunewright_storage.errors import StorageError, StorageReason


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
