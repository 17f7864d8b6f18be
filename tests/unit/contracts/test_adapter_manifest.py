"""An adapter is named by its content: digest, folder and revision."""

from tunewright_contracts.adapter_manifest import (
    CONTENT_NAMES,
    MANIFEST_NAME,
    MODEL_CARD_NAME,
    adapter_folder,
    compute_adapter_digest,
    revision_name,
)
from tunewright_contracts.storage_uri import StorageURI


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
    assert revision_name("support", "sha256:3f9a2c1b7d0e" + "0" * 52) == "support--3f9a2c1b7d0e"


def test_the_folder_of_a_digest_is_a_valid_part_of_a_uri():
    folder = adapter_folder("sha256:" + "a" * 64)
    assert str(StorageURI.parse("s3://bucket/out").join(folder)) == "s3://bucket/out/sha256-" + "a" * 64


def test_files_that_contain_times_are_no_content():
    assert not {MANIFEST_NAME, MODEL_CARD_NAME} & CONTENT_NAMES
