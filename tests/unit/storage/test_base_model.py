"""A base model is identified by its files, fetched once and verified."""

import errno
import json
import struct
import types

import httpx
import huggingface_hub
import pytest

from tunewright_contracts.locations import BaseModelSource, HuggingFaceSource, S3Source
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage import base_model
from tunewright_storage.errors import StorageError, StorageReason

MODEL = StorageURI.parse("s3://bucket/models/tiny")


def _safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0\0\0\0"


FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": _safetensors()}


@pytest.fixture
def model(store):
    for name, data in {**FILES, "README.md": b"hello", "pytorch_model.bin": b"pickle"}.items():
        store.write(MODEL.join(name), data)
    return store


def _source(digest: str) -> BaseModelSource:
    return BaseModelSource(name="tiny", s3=S3Source(uri=str(MODEL)), digest=digest, context_length=64)


def test_inspection_and_fetch_agree(model, tmp_path):
    summary = base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model)
    assert summary.files == 3
    assert summary.bytes == sum(len(data) for data in FILES.values())
    fetched = base_model.fetch_base_model(_source(summary.digest), tmp_path / "model", model)
    assert fetched.digest == summary.digest
    assert {path.name for path in (tmp_path / "model").iterdir()} == set(FILES)


def test_fetch_keeps_what_verifies(model, tmp_path):
    digest = base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model).digest
    base_model.fetch_base_model(_source(digest), tmp_path / "model", model)
    model.delete_prefix(MODEL)
    assert base_model.fetch_base_model(_source(digest), tmp_path / "model", model).digest == digest


def test_changed_model_is_refused(model, tmp_path):
    digest = base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model).digest
    model.write(MODEL.join("config.json"), b'{"changed": true}')
    with pytest.raises(StorageError, match="somebody changed the files") as error:
        base_model.fetch_base_model(_source(digest), tmp_path / "model", model)
    assert error.value.reason is StorageReason.DIGEST_MISMATCH


def test_tokenizer_alone(model, tmp_path):
    digest = "sha256:" + "0" * 64
    patterns = base_model.TOKENIZER_PATTERNS
    assert base_model.fetch_base_model(_source(digest), tmp_path, model, patterns) is None
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "tokenizer.json"}


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_incomplete_model(model, tmp_path, missing):
    model.delete_prefix(MODEL.join(missing))
    with pytest.raises(StorageError, match=r"needs config\.json and \*\.safetensors"):
        base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model)


def test_no_model_at_all(store, tmp_path):
    with pytest.raises(StorageError, match="holds no model files") as error:
        base_model.inspect_base_model(S3Source(uri="s3://bucket/none"), None, tmp_path, store)
    assert error.value.reason is StorageReason.NOT_FOUND


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04pickle..", _safetensors()[:-1], _safetensors() + b"x"])
def test_broken_weights(model, tmp_path, data):
    model.write(MODEL.join("model.safetensors"), data)
    with pytest.raises(StorageError, match="not a whole safetensors file"):
        base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Download a Hub model whose description or files end in an error."""

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
    ("error", "told"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "Connection refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
    ],
)
def test_a_hub_that_does_not_answer_is_unreachable_and_tried_again(hub, of, error, told):
    with pytest.raises(StorageError, match=r"org/tiny@main: .*; check the network and HF_ENDPOINT") as raised:
        hub(error, of=of)
    assert told in str(raised.value)
    assert raised.value.reason is StorageReason.UNREACHABLE
    assert raised.value.retryable


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Data processing error: I/O error: No space left on device (os error 28)"),  # hf_xet's form
    ],
)
def test_a_full_disk_is_not_the_network(hub, error, tmp_path):
    with pytest.raises(OSError, match="no space left for the base model") as raised:
        hub(error)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "model"))


def test_an_unforeseen_end_of_a_download_is_tried_again(hub):
    with pytest.raises(StorageError, match="org/tiny@main: CAS error") as raised:
        hub(RuntimeError("CAS error: unexpected"))
    assert raised.value.reason is StorageReason.OTHER
    assert raised.value.retryable
