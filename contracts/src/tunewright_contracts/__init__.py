"""The files and messages that cross a process boundary, as frozen pydantic models.

Every document carries ``schemaVersion``. Readers ignore unknown fields, so that a new optional field changes no running
pod, and refuse another version than `document.SCHEMA_VERSION` (docs/adr/0008-one-schema-version.md).
"""
