"""Why storage did not answer, in the words of the person who must mend it."""

from __future__ import annotations

from enum import StrEnum


class StorageReason(StrEnum):
    """The kind of failure; each is a condition reason (docs/reference/conditions.md)."""

    INVALID_URI = "InvalidURI"
    ACCESS_DENIED = "AccessDenied"
    NO_SUCH_BUCKET = "NoSuchBucket"
    NOT_FOUND = "NotFound"
    UNREACHABLE = "StorageUnreachable"
    UNKNOWN_AUTHORITY = "UnknownAuthority"
    NO_CREDENTIALS = "NoCredentials"
    NOT_AN_ADAPTER = "NotAnAdapter"
    NO_MANIFEST = "NoManifest"
    DIGEST_MISMATCH = "DigestMismatch"
    FORBIDDEN_FILE = "ForbiddenFile"
    WRONG_REGION = "WrongRegion"
    TOO_LARGE = "ObjectTooLarge"
    OTHER = "StorageError"


RETRYABLE = frozenset({StorageReason.UNREACHABLE, StorageReason.OTHER})


class StorageError(Exception):
    """Storage did not give or take what was asked; the message says what, where and what to do."""

    def __init__(self, reason: StorageReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def retryable(self) -> bool:
        """Tell whether the same call may succeed later without anybody changing anything."""
        return self.reason in RETRYABLE
