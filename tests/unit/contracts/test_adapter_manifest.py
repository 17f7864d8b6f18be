"""An adapter is named by its content: digest, folder and revision."""

import pytest

from tunewright_contracts.adapter_manifest import (
    CONTENT_NAMES,
    MANIFEST_NAME,
    MODEL_CARD_NAME,
    AdapterManifest,
    adapter_folder,
    compute_adapter_digest,
    is_name_of,
    revision_name,
)
from tunewright_contracts.document import ContractError
from tunewright_contracts.storage_uri import StorageURI

DIGEST = "sha256:" + "0" * 64


def test_adapter_digest_depends_on_names_and_contents_but_not_on_order():
    files = {"a": "sha256:1", "b": "sha256:2"}
    assert compute_adapter_digest(files) == compute_adapter_digest(dict(reversed(files.items())))
    assert compute_adapter_digest(files) != compute_adapter_digest({"a": "sha256:2", "b": "sha256:1"})


def test_adapter_digest_is_the_documented_one():
    # printf 'a\0sha256:1\nb\0sha256:2\n' | sha256sum
    assert compute_adapter_digest({"b": "sha256:2", "a": "sha256:1"}) == (
        "sha256:85ce39225bece3342919e51fc77e86dd188f01f528f09f9b096318a2062caa4c"
    )


def test_revision_name():
    assert revision_name("support", "sha256:3f9a2c1b7d0e" + "0" * 52) == "support--3f9a2c1b7d0e00000000"


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("support--3f9a2c1b7d0e00000000", True),
        ("support--3f9a2c1b7d0e", True),
        ("support--3f9a2c1b7d0e00000001", False),
        ("support--3f9a", False),
        ("support--", False),
        ("3f9a2c1b7d0e00000000", False),
        ("support", False),
    ],
)
def test_a_name_belongs_to_one_digest(name, holds):
    assert is_name_of(name, "sha256:3f9a2c1b7d0e" + "0" * 52) is holds


def test_the_folder_of_a_digest_is_a_valid_part_of_a_uri():
    folder = adapter_folder("sha256:" + "a" * 64)
    assert str(StorageURI.parse("s3://bucket/out").join(folder)) == "s3://bucket/out/sha256-" + "a" * 64


def test_files_that_contain_times_are_no_content():
    assert not {MANIFEST_NAME, MODEL_CARD_NAME} & CONTENT_NAMES


WIRE = {
    "digest": DIGEST,
    "files": [],
    "baseModel": {"name": "tiny", "digest": DIGEST},
    "rank": 8,
    "datasetDigest": DIGEST,
    "evaluationDatasetUri": "",
    "training": {},
    "packages": {},
    "createdAt": "2026-01-01T00:00:00Z",
}


def test_a_manifest_of_an_earlier_release_has_no_stop_tokens():
    manifest = AdapterManifest.from_wire(WIRE)
    assert manifest.stop_token_ids is None
    assert "stopTokenIds" not in manifest.to_wire()
    assert AdapterManifest.from_wire({**WIRE, "stopTokenIds": [2, 7]}).stop_token_ids == (2, 7)


@pytest.mark.parametrize("tokens", [[-1], [1 << 31], ["x"], [1.5], list(range(17)), 2])
def test_stop_tokens_of_a_forged_manifest_are_refused(tokens):
    with pytest.raises(ContractError, match="stopTokenIds"):
        AdapterManifest.from_wire({**WIRE, "stopTokenIds": tokens})
