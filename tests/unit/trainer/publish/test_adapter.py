"""An adapter's folder is named by its content, complete when its manifest exists, and the same when repeated."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.adapter import fetch_adapter
from tunewright_storage.errors import CONTENT_PROBLEMS, StorageError, StorageReason
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.publish.adapter import canonical_adapter_config, publish, verify_published
from tunewright_trainer.publish.manifest import Provenance

PEFT_CONFIG = {
    "base_model_name_or_path": "/tmp/tunewright/base-model",
    "inference_mode": False,
    "target_modules": ["v_proj", "q_proj"],
    "revision": "main",
    "r": 16,
}


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "trained"
    folder.mkdir()
    save_file({"lora_A": np.ones((16, 4), np.float32)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(PEFT_CONFIG))
    (folder / "optimizer.pt").write_bytes(b"not for publication")
    return folder


def test_published_adapter_can_be_fetched(store, trained, provenance, tmp_path):
    summary = publish(store, trained, tmp_path / "out", provenance)
    manifest = fetch_adapter(store, StorageURI.parse(summary.uri), tmp_path / "fetched", summary.digest)
    assert summary.uri == "s3://bucket/adapters/" + summary.digest.replace(":", "-")
    assert {file.path for file in manifest.files} == {"adapter_model.safetensors", "adapter_config.json"}
    assert manifest.training["rank"] == 16
    assert manifest.scores == provenance.scores
    assert summary.evaluation_dataset_uri == "s3://bucket/adapters/datasets/sha256-x/evaluation.jsonl"
    assert summary.bytes == manifest.files[1].size
    assert verify_published(store, summary)


def test_publishing_again_is_success_and_changes_nothing(store, trained, provenance, tmp_path):
    first = publish(store, trained, tmp_path / "one", provenance)
    manifest = store.read(StorageURI.parse(first.uri).join("manifest.json"))
    scored_anew = dataclasses.replace(provenance, scores=())
    assert publish(store, trained, tmp_path / "two", scored_anew) == first
    assert store.read(StorageURI.parse(first.uri).join("manifest.json")) == manifest


def test_a_changed_chat_template_is_published_with_the_adapter(store, trained, provenance, tmp_path, make_spec):
    wire = make_spec().to_wire()
    spec = make_spec(baseModel={**wire["baseModel"], "chatTemplate": "{{ messages }}"})
    with_template = Provenance(spec, provenance.config, provenance.dataset, ())
    summary = publish(store, trained, tmp_path / "out", with_template)
    assert store.read(StorageURI.parse(summary.uri).join("chat_template.jinja")) == b"{{ messages }}"
    assert summary.digest != publish(store, trained, tmp_path / "other", provenance).digest


@pytest.mark.parametrize("name", ["manifest.json", "adapter_model.safetensors"])
def test_a_lost_file_is_detected(store, trained, provenance, tmp_path, name):
    summary = publish(store, trained, tmp_path / "out", provenance)
    store.delete_prefix(StorageURI.parse(summary.uri).join(name))
    assert not verify_published(store, summary)


@pytest.mark.parametrize("reason", set(StorageReason) - CONTENT_PROBLEMS - {StorageReason.NOT_FOUND})
def test_a_refused_check_of_a_published_adapter_does_not_train_again(
    store, trained, provenance, tmp_path, monkeypatch, reason
):
    summary = publish(store, trained, tmp_path / "out", provenance)

    def refuse(*_):
        raise StorageError(reason, "no")

    monkeypatch.setattr(store, "read", refuse)
    with pytest.raises(StorageError) as error:
        verify_published(store, summary)
    assert error.value.reason is reason


def test_canonical_config_has_no_path_and_a_fixed_order():
    shuffled = dict(reversed({**PEFT_CONFIG, "target_modules": ["q_proj", "v_proj"]}.items()))
    text = canonical_adapter_config(PEFT_CONFIG, "llama")
    assert text == canonical_adapter_config(shuffled, "llama")
    assert json.loads(text) == {
        "base_model_name_or_path": "llama",
        "inference_mode": True,
        "target_modules": ["q_proj", "v_proj"],
        "revision": None,
        "r": 16,
    }


def test_non_finite_weights_are_not_published(store, trained, provenance, tmp_path):
    save_file({"broken": np.array([np.nan], np.float32)}, trained / "adapter_model.safetensors")
    with pytest.raises(TrainerError, match="NaN or infinite weights in broken") as error:
        publish(store, trained, tmp_path / "out", provenance)
    assert error.value.reason is Reason.DIVERGED
    assert not list(store.list(StorageURI.parse("s3://bucket/adapters")))
