"""Authentic documents in a bucket: a message authentication code shows that a job's own pods wrote a document.

A digest proves that a document is unchanged since another process recorded it. A document that only the bucket has
needs more: it carries an HMAC-SHA256 (RFC 2104) in the field `FIELD`. Its key is in a Secret that the FineTuneJob or
the AdapterDeployment owns, so an identity that can only write to the bucket cannot make one.

The code covers a prefix with the kind of the document, so that one kind is never accepted as another, and the canonical
form of everything in the document except `FIELD`: JSON with sorted keys, without spaces, in ASCII. It is computed from
the decoded values, so that the file stays readable JSON and readers of other versions, which know other fields, compute
the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Self

from tunewright_contracts.authentication.canonical_json import canonicalize, decode_object
from tunewright_contracts.document import ContractError, Document

DOCUMENT_KEY_PATH: Final = "/etc/tunewright/document-key/key"
"""Where pods find the key of their job or deployment."""
KEY_BYTES: Final = 32
FIELD: Final = "authentication"
_PREFIX: Final = b"tunewright.dev/document/1\0"
_KEY_ID_PREFIX: Final = b"tunewright.dev/key-id/1\0"
_KEY_ID_DIGITS: Final = 16


class DocumentKind(StrEnum):
    """What a document is; a code of one kind is never valid for another one."""

    TRAINING_RESULT = "TrainingResult"
    CHECKPOINT = "Checkpoint"
    EVALUATION_REPORT = "EvaluationReport"
    STORED_ANSWERS = "StoredAnswers"


class AuthenticationError(ContractError):
    """A document was not written by a holder of the key; the message explains what was found."""


class DocumentKeyError(ValueError):
    """A file has no usable key; the message explains why, without the content."""


@dataclasses.dataclass(frozen=True)
class DocumentKey:
    """A key of `KEY_BYTES` random bytes; only `to_text` returns it."""

    _secret: bytes = dataclasses.field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Return a new random key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """Read a key as `to_text` returns it.

        Raises:
            DocumentKeyError: it is not such a text.
        """
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise DocumentKeyError("it is not Base64") from None
        if len(secret) != KEY_BYTES:
            raise DocumentKeyError(f"it has {len(secret)} bytes instead of {KEY_BYTES}")
        return cls(secret)

    def to_text(self) -> str:
        """Return the key in Base64."""
        return base64.b64encode(self._secret).decode()

    @property
    def id(self) -> str:
        """Identify the key without revealing it."""
        return hmac.digest(self._secret, _KEY_ID_PREFIX, hashlib.sha256).hex()[:_KEY_ID_DIGITS]

    def seal(self, kind: DocumentKind, document: Document) -> bytes:
        """Return a document as JSON with its code."""
        # Decoded from the JSON text, so that writer and readers see the same values (enums are strings, for example).
        content = json.loads(document.to_json())
        authentication = {"keyId": self.id, "mac": self._compute(kind, content)}
        return json.dumps({**content, FIELD: authentication}, ensure_ascii=False, separators=(",", ":")).encode()

    def open(self, kind: DocumentKind, text: bytes) -> dict[str, Any]:
        """Return the decoded content of a document whose code is valid, without the code.

        Raises:
            AuthenticationError: it has no code, one of another key, or one that does not match its content and kind.
            ContractError: it is not a JSON object, or is ambiguous JSON.
        """
        content = decode_object(text)
        found = content.pop(FIELD, None)
        if not isinstance(found, dict):
            raise AuthenticationError(
                f"it has no {FIELD}: an earlier version wrote it, or a writer that does not have the key"
            )
        if not _is_same(found.get("keyId"), self.id):
            raise AuthenticationError(f"its {FIELD} was made with another key than {self.id}")
        try:
            expected = self._compute(kind, content)
        except RecursionError as error:
            raise ContractError("it is too deep") from error
        if not _is_same(found.get("mac"), expected):
            raise AuthenticationError(f"its {FIELD} does not match: the content was changed, or is not a {kind}")
        return content

    def _compute(self, kind: DocumentKind, content: Mapping[str, Any]) -> str:
        message = _PREFIX + kind.value.encode() + b"\0" + canonicalize(content)
        return hmac.digest(self._secret, message, hashlib.sha256).hex()


def _is_same(found: object, expected: str) -> bool:
    """Return whether both are equal, in a time that does not depend on how much of them is."""
    return isinstance(found, str) and hmac.compare_digest(found.encode(errors="replace"), expected.encode())
