"""An adapter's folder is named by its content, whole when its manifest is there, and the same again when repeated."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.phase_result import DatasetSummary
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.adapter import fetch_adapter
from tunewright_trainer.config import resolve_config
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.publish.adapter import Provenance, canonical_adapter_config, publish, verify_published

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


@pytest.fixture
def provenance(make_spec):
    dataset = DatasetSummary(
        digest="sha256:" + "d" * 64, uri="s3://bucket/adapters/datasets/sha256-x", train=9, validation=1, evaluation=2
    )
    spec = make_spec()
    scores = (Score(type="ExactMatch", base=0.1, tuned=0.9, samples=2),)
    return Provenance(spec, resolve_config(spec, dataset), dataset, scores)


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


def test_card_tells_scores_and_data(store, trained, provenance, tmp_path):
    summary = publish(store, trained, tmp_path / "out", provenance)
    card = store.read(StorageURI.parse(summary.uri).join("README.md")).decode()
    assert "| ExactMatch | 0.100 | 0.900 | 2 |" in card
    assert "9 records to train on, 1 to validate, 2 held out" in card
    assert "| targetModules | q_proj, k_proj," in card


def test_own_chat_template_travels_with_the_adapter(store, trained, provenance, tmp_path, make_spec):
    wire = make_spec().to_wire()
    spec = make_spec(baseModel={**wire["baseModel"], "chatTemplate": "{{ messages }}"})
    with_template = Provenance(spec, provenance.config, provenance.dataset, ())
    summary = publish(store, trained, tmp_path / "out", with_template)
    assert store.read(StorageURI.parse(summary.uri).join("chat_template.jinja")) == b"{{ messages }}"
    assert summary.digest != publish(store, trained, tmp_path / "other", provenance).digest


@pytest.mark.parametrize("name", ["manifest.json", "adapter_model.safetensors"])
def test_a_lost_file_is_noticed(store, trained, provenance, tmp_path, name):
    summary = publish(store, trained, tmp_path / "out", provenance)
    store.delete_prefix(StorageURI.parse(summary.uri).join(name))
    assert not verify_published(store, summary)


def test_canonical_config_has_no_path_and_one_order():
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
