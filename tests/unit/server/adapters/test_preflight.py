"""An entry of the plan and an adapter's manifest are checked before its files are fetched."""

import numpy as np
import pytest

import support.worlds.server_world as world
from support.worlds.packed_models import PACKED, write_packed_model
from tunewright_contracts.serving_plan import AdapterSource
from tunewright_server.adapters import preflight
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason
from tunewright_storage.base_shapes import read_base_shapes


@pytest.fixture
def base(tmp_path):
    world.write_base_model(tmp_path / "base")
    return read_base_shapes(tmp_path / "base")


def test_the_manifest_of_another_base_model(tmp_path, base):
    source = world.FakeSource()
    entry = source.publish(tmp_path / "x", base_digest="sha256:" + "c" * 64)
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        preflight.check_manifest(source.manifests[entry.uri], world.BASE_DIGEST, 8, base)
    assert "trained on" in str(caught.value)
    assert caught.value.failure.reason == AdapterReason.BASE_MODEL_MISMATCH


def test_the_manifest_of_a_huge_adapter(tmp_path, base):
    huge = manifest_of(tmp_path, 1 << 40)
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        preflight.check_manifest(huge, world.BASE_DIGEST, 8, base)
    assert caught.value.failure.reason == AdapterReason.TOO_LARGE


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
def test_on_a_packed_base_the_size_limit_is_fixed(tmp_path, packed):
    base = write_packed_model(tmp_path / "packed", packed)
    assert base.largest_adapter_elements_per_rank is None
    manifest = manifest_of(tmp_path, 1 << 30)
    preflight.check_manifest(manifest, world.BASE_DIGEST, 8, base)
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        preflight.check_manifest(manifest_of(tmp_path, 1 << 40), world.BASE_DIGEST, 8, base)
    assert caught.value.failure.reason == AdapterReason.TOO_LARGE


def test_norms_and_convolutions_are_not_taken_for_packed_layers(tmp_path):
    base = write_packed_model(tmp_path / "plain", {"weight": np.zeros((8, 16), np.float32)})
    assert base.largest_adapter_elements_per_rank == 16 + 16 + 8 + 16
    assert base.find("model.layers.0.input_layernorm") is None
    with pytest.raises(AdapterError, match="at most"):
        preflight.check_manifest(manifest_of(tmp_path, 1 << 30), world.BASE_DIGEST, 8, base)


def manifest_of(tmp_path, size):
    """Return the manifest of an adapter with this number of bytes."""
    source = world.FakeSource()
    manifest = source.manifests[source.publish(tmp_path / "x").uri]
    first, *rest = manifest.files
    return manifest.updated(files=(first.updated(size=size), *rest))


SOURCES = (AdapterSource(namespace="support", uri_prefix="s3://bucket/adapters/support"),)


@pytest.mark.parametrize(
    "change",
    [
        {"uri": "s3://bucket/adapters/billing/sha256-1"},
        {"uri": "s3://bucket/adapters/support-2/sha256-1"},
        {"uri": "s3://bucket/adapters/support/../billing"},
        {"uri": "s3://other/adapters/support/x"},
        {"uri": "/etc/passwd"},
        {"namespace": "billing"},
    ],
)
def test_an_adapter_from_a_uri_that_its_namespace_may_not_serve(tmp_path, change):
    entry = world.FakeSource().publish(tmp_path).updated(**change)
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        preflight.check_entry(entry, SOURCES)
    assert caught.value.failure.reason == AdapterReason.SOURCE_NOT_ALLOWED


def test_a_name_that_does_not_match_the_digest(tmp_path):
    entry = world.FakeSource().publish(tmp_path).updated(name="support--000000000000")
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        preflight.check_entry(entry, SOURCES)
    assert caught.value.failure.reason == AdapterReason.INVALID_ENTRY
