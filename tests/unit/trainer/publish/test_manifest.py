"""A manifest records the origin of an adapter: base model, data, settings, packages."""

import importlib.metadata

import pytest

from tunewright_contracts.content_file import ContentFile
from tunewright_trainer.publish import manifest as manifests
from tunewright_trainer.publish.manifest import build_manifest, evaluation_uri

DIGEST = "sha256:" + "a" * 64
FILES = (ContentFile(path="adapter_config.json", sha256=DIGEST, size=1),)


def test_everything_is_recorded(provenance):
    manifest = build_manifest(DIGEST, FILES, provenance)
    assert (manifest.digest, manifest.files, manifest.scores) == (DIGEST, FILES, provenance.scores)
    assert (manifest.base_model.name, manifest.base_model.digest) == ("tiny", "sha256:" + "b" * 64)
    assert manifest.dataset_digest == provenance.dataset.digest
    assert manifest.training == provenance.config.to_wire()
    assert (manifest.job, manifest.rank) == (provenance.spec.job, 16)


@pytest.mark.parametrize(("held_out", "uri"), [(2, "s3://bucket/data/evaluation.jsonl"), (0, "")])
def test_the_held_out_set_is_named_when_there_is_one(provenance, held_out, uri):
    assert evaluation_uri(provenance.dataset.updated(uri="s3://bucket/data", evaluation=held_out)) == uri


def test_packages_that_are_not_installed_are_left_out(provenance, monkeypatch):
    monkeypatch.setattr(manifests, "PACKAGES", ("pydantic", "no-such-package"))
    packages = build_manifest(DIGEST, FILES, provenance).packages
    assert packages == {"pydantic": importlib.metadata.version("pydantic")}


def test_a_hub_models_repository_is_recorded(provenance):
    base = {"name": "tiny", "huggingFace": {"repository": "org/tiny", "revision": "main"}, "revision": "c0ffee"}
    spec = provenance.spec.updated(base_model={**base, "digest": DIGEST, "contextLength": 64})
    identity = build_manifest(
        DIGEST, FILES, type(provenance)(spec, provenance.config, provenance.dataset, ())
    ).base_model
    assert (identity.repository, identity.revision) == ("org/tiny", "c0ffee")
