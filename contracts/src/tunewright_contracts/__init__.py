"""The files and messages that cross a process boundary, as frozen pydantic models.

Every document carries ``schemaVersion``. Readers ignore unknown fields and accept versions N and N-1, so that an
operator upgrade changes no running pod.
"""
