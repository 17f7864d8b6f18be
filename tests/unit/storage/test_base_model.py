"""A base model is identified by its files, fetched once and verified."""

import json
import math
import struct

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


def _with_tensors(*names: str, dtype: str = "F16", shape: tuple[int, ...] = (1, 1)) -> bytes:
    size = 2 * math.prod(shape)
    entries = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [size * index, size * (index + 1)]}
        for index, name in enumerate(names)
    }
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size * len(names))


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        ([_with_tensors("model.layers.0.q_proj.weight", "model.layers.1.q_proj.weight")], ("q_proj",)),
        ([_with_tensors("a.up.weight"), _with_tensors("a.down.weight")], ("down", "up")),
        ([_with_tensors("a.norm.weight", shape=(4,)), _with_tensors("a.conv1d.weight", shape=(1, 1, 4))], ()),
        ([_with_tensors("a.q.qweight", "a.k.weight_packed", dtype="I16")], ("k", "q")),
        ([_with_tensors(*(f"layer{number:04d}.weight" for number in range(200)))], ()),
    ],
    ids=["layers", "several files", "no matrix", "quantized", "too many to list"],
)
def test_an_inspection_lists_the_linear_layers(model, tmp_path, files, modules):
    model.delete_prefix(MODEL.join("model.safetensors"))
    for number, data in enumerate(files):
        model.write(MODEL.join(f"model-{number}.safetensors"), data)
    summary = base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model)
    assert summary.linear_modules == modules


def _download_from_hub(monkeypatch, data):
    def download(source, folder, patterns):
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_bytes(b"{}")
        (folder / "model.safetensors").write_bytes(data)
        return "c" * 40

    monkeypatch.setattr(base_model.hub, "download", download)
    return HuggingFaceSource(repository="a/b", revision="main")


def test_an_inspection_of_a_hub_model_lists_the_linear_layers(monkeypatch, store, tmp_path):
    source = _download_from_hub(monkeypatch, _with_tensors("a.q_proj.weight"))
    summary = base_model.inspect_base_model(None, source, tmp_path, store)
    assert (summary.linear_modules, summary.revision, summary.files) == (("q_proj",), "c" * 40, 3)


def test_broken_weights_of_a_hub_model(monkeypatch, store, tmp_path):
    source = _download_from_hub(monkeypatch, b"PK\x03\x04pickle..")
    with pytest.raises(StorageError, match=r"model\.safetensors is not a complete safetensors file"):
        base_model.inspect_base_model(None, source, tmp_path, store)


def test_fetch_keeps_files_that_verify(model, tmp_path):
    digest = base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model).digest
    base_model.fetch_base_model(_source(digest), tmp_path / "model", model)
    model.delete_prefix(MODEL)
    assert base_model.fetch_base_model(_source(digest), tmp_path / "model", model).digest == digest


def test_changed_model_is_refused(model, tmp_path):
    digest = base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model).digest
    model.write(MODEL.join("config.json"), b'{"changed": true}')
    with pytest.raises(StorageError, match="the files were changed") as error:
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
    with pytest.raises(StorageError, match="contains no model files") as error:
        base_model.inspect_base_model(S3Source(uri="s3://bucket/none"), None, tmp_path, store)
    assert error.value.reason is StorageReason.NOT_FOUND


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04pickle..", _safetensors()[:-1], _safetensors() + b"x"])
def test_broken_weights(model, tmp_path, data):
    model.write(MODEL.join("model.safetensors"), data)
    with pytest.raises(StorageError, match="not a complete safetensors file"):
        base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model)


INDEX = MODEL.join("model.safetensors.index.json")


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ({"weight_map": {"a": "/etc/passwd"}}, "names '/etc/passwd'"),
        ({"weight_map": {"a": "model.safetensors", "b": "../other/model.safetensors"}}, "names '../other"),
        ({"weight_map": {"a": "sub/model.safetensors"}}, "names 'sub/model.safetensors'"),
        ({"weight_map": {"a": "pytorch_model.bin"}}, "names 'pytorch_model.bin'"),
        ({"weight_map": {"a": 7}}, "names 7"),
        ({"weight_map": {"a": ["model.safetensors"]}}, "needs an object weight_map"),
        ({"weight_map": []}, "needs an object weight_map"),
        ([], "needs an object weight_map"),
    ],
)
def test_an_index_names_weights_in_its_folder_only(model, tmp_path, index, problem):
    model.write(INDEX, json.dumps(index).encode())
    with pytest.raises(StorageError, match=problem) as error:
        base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model)
    assert error.value.reason is StorageReason.FORBIDDEN_FILE
    with pytest.raises(StorageError, match=problem):
        base_model.fetch_base_model(_source("sha256:" + "0" * 64), tmp_path / "model", model)


def test_an_index_of_the_models_own_weights_is_accepted(model, tmp_path):
    model.write(INDEX, json.dumps({"weight_map": {"w": "model.safetensors"}}).encode())
    assert base_model.inspect_base_model(S3Source(uri=str(MODEL)), None, tmp_path, model).files == 4
