"""The reasons of storage failures, and their remedies."""

from __future__ import annotations

from tunewright_contracts import reasons


class StorageReason(reasons.Reason):
    """The kind of failure; each is a condition reason (docs/reference/conditions.md).

    `s3_errors` ends its messages with the remedy, so each remedy is one sentence.
    """

    INVALID_URI = (
        "InvalidURI",
        "An `s3://` address is ambiguous or has no bucket, or the Secret has an invalid endpoint or region.",
        (
            "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards; "
            "or correct AWS_ENDPOINT_URL_S3 or AWS_REGION."
        ),
    )
    INVALID_REQUEST = (
        "InvalidRequest",
        "The inspection cannot read its request: the operator and the inspection's image are of different releases.",
        "Install the operator and its images of the same release.",
    )
    ACCESS_DENIED = (
        "AccessDenied",
        "The credentials do not allow this operation.",
        (
            "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the storage secret, "
            "and that their identity is allowed to do this at the address."
        ),
    )
    NO_SUCH_BUCKET = (
        "NoSuchBucket",
        "The bucket does not exist.",
        "Create the bucket or correct the URI.",
    )
    NOT_FOUND = (
        "NotFound",
        "There is no object at the address.",
        "Check that the object exists and that the URI is correct.",
    )
    UNREACHABLE = (
        "StorageUnreachable",
        "The endpoint did not answer; the operation is retried.",
        "Check AWS_ENDPOINT_URL_S3 in the storage secret, and that the object store is available.",
    )
    UNKNOWN_AUTHORITY = (
        "UnknownAuthority",
        "The endpoint's certificate is signed by an unknown authority.",
        "Put the authority's certificate into the storage secret as ca.crt.",
    )
    NO_CREDENTIALS = (
        "NoCredentials",
        "The Secret contains no usable keys.",
        "Put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the storage secret.",
    )
    NOT_AN_ADAPTER = (
        "NotAnAdapter",
        "The address contains no complete adapter: its manifest is invalid, or does not list a required file.",
        "Publish it again, or use the folder of another adapter.",
    )
    NO_MANIFEST = (
        "NoManifest",
        "The folder has no `manifest.json`: it was not published by a finished job.",
        "Use an adapter that a FineTuneJob published.",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "Stored files do not match the digest that was recorded for them: they were changed.",
        "Restore them, create a new BaseModel, or publish the adapter again.",
    )
    FORBIDDEN_FILE = (
        "ForbiddenFile",
        "The manifest lists a file of a kind that is never loaded, such as a pickle.",
        "Publish it again without that file, as safetensors only.",
    )
    WRONG_REGION = (
        "WrongRegion",
        "The bucket is not in the region that the Secret names.",
        "Set AWS_REGION in the storage secret to the bucket's region.",
    )
    TOO_LARGE = (
        "ObjectTooLarge",
        "An object is too large to be read or stored there.",
        "Make it smaller, or split it.",
    )
    OTHER = (
        "StorageError",
        "Storage failed in another way, which the message shows; the operation is retried.",
        "Check the object store's log.",
    )


RETRYABLE = frozenset({StorageReason.UNREACHABLE, StorageReason.OTHER})


class StorageError(Exception):
    """Storage denied access or failed; the message states what was wrong, where and what to do."""

    def __init__(self, reason: StorageReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def retryable(self) -> bool:
        """Return whether the same call may succeed later without a change."""
        return self.reason in RETRYABLE
