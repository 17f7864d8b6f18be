"""An adapter must match its manifest byte by byte; otherwise it is refused."""

import json

import pytest

from tunewright_contracts.adapter_manifest import (
    AdapterManifest,
    BaseModelIdentity,
    compute_adapter_digest,
)
from tunewright_contracts.content_file import ContentFile
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.adapter import fetch_adapter, read_manifest, summarise
from tunewright_storage.errors import StorageError, StorageReason

URI = StorageURI.parse("s3://bucket/adapters/one")
CONTENT = {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}


def _publish(store, content=CONTENT, digest=None) -> AdapterManifest:
    import hashlib

    digests = {name: "sha256:" + hashlib.sha256(data).hexdigest() for name, data in content.items()}
    for name, data in content.items():
        store.write(URI.join(name), data)
    manifest = AdapterManifest(
        digest=digest or compute_adapter_digest(digests),
        files=tuple(ContentFile(path=name, sha256=digests[name], size=len(data)) for name, data in content.items()),
        base_model=BaseModelIdentity(name="base", digest="sha256:" + "0" * 64),
        rank=16,
        dataset_digest="sha256:" + "1" * 64,
        evaluation_dataset_uri="s3://bucket/datasets/d/evaluation.jsonl",
        training={},
        packages={},
        created_at="2026-01-01T00:00:00Z",
    )
    store.write(URI.join("manifest.json"), manifest.to_json().encode())
    return manifest


def test_fetch_verifies_and_names_the_folder_by_digest(store, tmp_path):
    manifest = _publish(store)
    assert fetch_adapter(store, URI, tmp_path, manifest.digest) == manifest
    folder = tmp_path / manifest.digest.replace(":", "-")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT


def test_no_manifest(store):
    store.write(URI.join("adapter_model.safetensors"), b"weights")
    with pytest.raises(StorageError, match=r"has no manifest\.json") as error:
        read_manifest(store, URI)
    assert error.value.reason is StorageReason.NO_MANIFEST


def test_unreadable_manifest(store):
    store.write(URI.join("manifest.json"), json.dumps({"digest": "x"}).encode())
    with pytest.raises(StorageError, match="is invalid: AdapterManifest: digest") as error:
        read_manifest(store, URI)
    assert error.value.reason is StorageReason.NOT_AN_ADAPTER


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "training_args.pkl", "../escape.json", "sub/config.json", "/tmp/torch.py", ""]
)
def test_forbidden_file(store, name):
    _publish(store)
    wire = json.loads(store.read(URI.join("manifest.json")))
    wire["files"].append({"path": name, "sha256": "sha256:" + "2" * 64, "size": 1})
    store.write(URI.join("manifest.json"), json.dumps(wire).encode())
    with pytest.raises(StorageError, match=r"no pickle.*publish the adapter again without") as error:
        read_manifest(store, URI)
    assert error.value.reason is StorageReason.FORBIDDEN_FILE


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": -(1 << 60)}, r"files\.0\.size"),
        ({"path": "adapter_config.json"}, r"lists 'adapter_config\.json' more than once"),
    ],
)
def test_impossible_sizes_and_repeated_names(store, change, problem):
    _publish(store)
    wire = json.loads(store.read(URI.join("manifest.json")))
    wire["files"][0] |= change
    store.write(URI.join("manifest.json"), json.dumps(wire).encode())
    with pytest.raises(StorageError, match=problem) as error:
        read_manifest(store, URI)
    assert error.value.reason is StorageReason.NOT_AN_ADAPTER


def test_missing_weights(store):
    _publish(store, {"adapter_config.json": b"{}"})
    with pytest.raises(StorageError, match=r"does not list adapter_model\.safetensors") as error:
        read_manifest(store, URI)
    assert error.value.reason is StorageReason.NOT_AN_ADAPTER


def test_manifest_that_contradicts_its_digest(store):
    _publish(store, digest="sha256:" + "9" * 64)
    with pytest.raises(StorageError, match="but its files give") as error:
        read_manifest(store, URI)
    assert error.value.reason is StorageReason.DIGEST_MISMATCH


def test_changed_byte(store, tmp_path):
    manifest = _publish(store)
    store.write(URI.join("adapter_model.safetensors"), b"weightS")
    with pytest.raises(StorageError, match="changed or truncated") as error:
        fetch_adapter(store, URI, tmp_path, manifest.digest)
    assert error.value.reason is StorageReason.DIGEST_MISMATCH
    assert not list(tmp_path.rglob("*.safetensors"))


def test_another_digest_than_requested(store, tmp_path):
    _publish(store)
    with pytest.raises(StorageError, match=r"instead of .*; publish that one again"):
        fetch_adapter(store, URI, tmp_path, "sha256:" + "5" * 64)


def test_a_manifest_that_states_more_bytes_than_were_checked_is_refused(store, tmp_path):
    manifest = _publish(store)
    assert manifest.content_bytes == sum(len(data) for data in CONTENT.values())
    with pytest.raises(StorageError, match="bytes instead of") as error:
        fetch_adapter(store, URI, tmp_path, manifest.digest, manifest.content_bytes - 1)
    assert error.value.reason is StorageReason.TOO_LARGE
    assert list(tmp_path.iterdir()) == []
    fetch_adapter(store, URI, tmp_path, manifest.digest, manifest.content_bytes)


@pytest.mark.parametrize("stop_token_ids", [None, (2,)])
def test_the_summary_has_the_tokens_that_end_answers(store, stop_token_ids):
    manifest = _publish(store).updated(stop_token_ids=stop_token_ids)
    store.write(URI.join("manifest.json"), manifest.to_json().encode())
    assert summarise(read_manifest(store, URI), URI).stop_token_ids == stop_token_ids
