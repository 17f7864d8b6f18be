"""Codes of documents: valid only for the same key, kind and content, whatever the form of the JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_contracts.authentication.document_key import (
    FIELD,
    KEY_BYTES,
    AuthenticationError,
    DocumentKey,
    DocumentKeyError,
    DocumentKind,
)
from tunewright_contracts.document import ContractError, Document

KEY, OTHER = DocumentKey(b"k" * KEY_BYTES), DocumentKey(b"o" * KEY_BYTES)
KIND = DocumentKind.CHECKPOINT


class Note(Document):
    text: str
    share: float = 0.1
    count: int | None = None


NOTE = Note(text="Grüße \U0001f600", share=1e-7)
SEALED = KEY.seal(KIND, NOTE)


def change(**fields: Any) -> bytes:
    return json.dumps({**json.loads(SEALED), **fields}).encode()


def change_code(**fields: Any) -> bytes:
    return change(**{FIELD: {**json.loads(SEALED)[FIELD], **fields}})


def test_what_the_key_sealed_is_opened() -> None:
    assert Note.from_wire(KEY.open(KIND, SEALED)) == NOTE
    assert Note.from_json(SEALED) == NOTE, "readers without the key ignore the code"


def test_the_code_never_changes() -> None:
    """Stored documents must stay valid: this value may change only together with the prefix's version."""
    assert json.loads(SEALED)[FIELD] == {
        "keyId": "82430b1d48d1594a",
        "mac": "633bf9dbaf997f64ff792b13839608b743008b12f153a8a004cfc1fb93a0b3fd",
    }


def test_the_form_of_the_json_does_not_count() -> None:
    reordered = dict(reversed(json.loads(SEALED).items()))
    assert Note.from_wire(KEY.open(KIND, json.dumps(reordered, indent=3).encode())) == NOTE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(change(text="other"), "does not match", id="another value"),
        pytest.param(change(unknown=1), "does not match", id="a field that this version does not know"),
        pytest.param(OTHER.seal(KIND, NOTE), "another key", id="another key"),
        pytest.param(KEY.seal(DocumentKind.TRAINING_RESULT, NOTE), "is not a Checkpoint", id="another kind"),
        pytest.param(NOTE.to_json().encode(), "an earlier version wrote it", id="no code"),
        pytest.param(change(**{FIELD: "mac"}), "has no authentication", id="a code of another type"),
        pytest.param(change(**{FIELD: {}}), "another key", id="an empty code"),
        pytest.param(change_code(mac=None), "does not match", id="no mac"),
        pytest.param(change_code(mac="é"), "does not match", id="a mac that is not ASCII"),
        pytest.param(change_code(mac="\ud800"), "does not match", id="a mac that is no Unicode text"),
        pytest.param(change_code(keyId=OTHER.id), "another key", id="the identifier of another key"),
    ],
)
def test_another_document_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(AuthenticationError, match=problem):
        KEY.open(KIND, text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff{}", id="not UTF-8"),
        pytest.param(SEALED[:-1] + b',"text":"second"}', id="a repeated key"),
        pytest.param(b'{"share": NaN}', id="NaN"),
        pytest.param(b'{"share": 1e999}', id="a number that is infinite"),
        pytest.param(b'{"count": ' + b"1" * 5000 + b"}", id="a number with thousands of digits"),
        pytest.param(b'{"a":' * 100_000, id="too deep"),
    ],
)
def test_ambiguous_json_is_refused(text: bytes) -> None:
    with pytest.raises(ContractError, match="JSON"):
        KEY.open(KIND, text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise_another_error(text: bytes) -> None:
    with pytest.raises(ContractError):
        KEY.open(KIND, text)


def test_a_key_is_random_and_survives_its_text() -> None:
    key = DocumentKey.generate()
    assert DocumentKey.from_text(f"{key.to_text()}\n") == key
    assert DocumentKey.generate() != key
    assert key.to_text() not in repr(key)
    assert KEY.id != OTHER.id


@pytest.mark.parametrize("text", ["", "no base64!", "YQ==", b"\xff"])
def test_a_text_that_is_no_key_is_refused_without_showing_it(text: str | bytes) -> None:
    with pytest.raises(DocumentKeyError) as caught:
        DocumentKey.from_text(text)
    assert "no base64" not in str(caught.value)
