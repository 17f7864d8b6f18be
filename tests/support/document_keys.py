"""The document keys of two owners."""

from __future__ import annotations

from tunewright_contracts.authentication.document_key import KEY_BYTES, DocumentKey

KEY, OTHER_KEY = DocumentKey(b"k" * KEY_BYTES), DocumentKey(b"o" * KEY_BYTES)
