"""The files and messages that cross a process boundary, as frozen pydantic models.

Every document has a ``schemaVersion``. Readers ignore unknown fields, so that a new optional field does not affect
running pods. They reject every version except `document.SCHEMA_VERSION` (docs/adr/0008-one-schema-version.md).
"""
