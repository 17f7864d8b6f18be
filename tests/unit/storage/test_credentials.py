"""Values of the storage secret are stripped, or rejected by key name; the value is in no message."""

import pytest

from tunewright_storage.credentials import clean_environment
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.object_store import ObjectStore


@pytest.mark.parametrize("space", ["\n", "\r\n", " ", "\t", "\n\n"])
@pytest.mark.parametrize(
    "key",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL_S3",
        "HF_TOKEN",
        "HF_ENDPOINT",
    ],
)
def test_white_space_around_a_value_is_removed(key, space):
    environment = {key: f"{space}value{space}", "OTHER": " kept "}
    clean_environment(environment)
    assert environment == {key: "value", "OTHER": " kept "}


def test_a_blank_value_is_no_value():
    environment = {"AWS_SESSION_TOKEN": " \n", "HF_TOKEN": ""}
    clean_environment(environment)
    assert environment == {}


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIA\nMARKED", "a line break"),
        ("AWS_ACCESS_KEY_ID", "\ufeffAKIAMARKED", "not ASCII"),
        ("AWS_ACCESS_KEY_ID", "AKIA MARKED", "a space"),
        ("AWS_SECRET_ACCESS_KEY", "one\nMARKED", "a line break"),
        ("AWS_SESSION_TOKEN", "one\x00MARKED", "a control character"),
        ("HF_TOKEN", "hf_one\r\nMARKED", "a line break"),
        ("HF_TOKEN", "hf_MARKÉD MARKED", "not ASCII"),
    ],
)
def test_a_value_that_cannot_be_sent_is_rejected_by_its_key(key, value, what):
    with pytest.raises(StorageError, match=f"{key} in the storage secret contains .*{what}") as error:
        clean_environment({key: value})
    assert error.value.reason is StorageReason.NO_CREDENTIALS
    assert not error.value.retryable
    assert "MARKED" not in str(error.value)


def test_a_line_break_after_the_keys_does_not_matter(store, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret\n")
    monkeypatch.setenv("AWS_REGION", "eu-central-1\n")
    client = ObjectStore.from_environment()._client
    assert client.meta.region_name == "eu-central-1"
    credentials = client._request_signer._credentials
    assert (credentials.access_key, credentials.secret_key) == ("AKIAEXAMPLE", "secret")


def test_half_of_the_keys_are_named_and_do_not_blame_the_endpoint(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "\n")
    with pytest.raises(StorageError, match="no AWS_SECRET_ACCESS_KEY; add it") as error:
        ObjectStore.from_environment()
    assert error.value.reason is StorageReason.NO_CREDENTIALS
