"""Why storage did not answer, and what to do about it."""

from __future__ import annotations

from tunewright_contracts import reasons


class StorageReason(reasons.Reason):
    """The kind of failure; each is a condition reason (docs/reference/conditions.md).

    `s3_errors` ends its messages with the remedy: each is one sentence that reads well there, too.
    """

    INVALID_URI = (
        "InvalidURI",
        "An `s3://` address could mean two things or names no bucket, or the Secret's endpoint or region is none.",
        (
            "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards; "
            "or correct AWS_ENDPOINT_URL_S3 or AWS_REGION."
        ),
    )
    INVALID_REQUEST = (
        "InvalidRequest",
        "An inspection's request cannot be read: operator and its image do not fit together.",
        "Install the operator and its images of one release.",
    )
    ACCESS_DENIED = (
        "AccessDenied",
        "The credentials may not do this.",
        (
            "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the storage secret, "
            "and that their identity may do this at the address."
        ),
    )
    NO_SUCH_BUCKET = (
        "NoSuchBucket",
        "The bucket does not exist.",
        "Create the bucket or correct the URI.",
    )
    NOT_FOUND = (
        "NotFound",
        "Nothing is stored at the address.",
        "Check that the object exists and that the URI is spelled as it is stored.",
    )
    UNREACHABLE = (
        "StorageUnreachable",
        "The endpoint did not answer; the operation is retried.",
        "Check AWS_ENDPOINT_URL_S3 in the storage secret and that the object store is up.",
    )
    UNKNOWN_AUTHORITY = (
        "UnknownAuthority",
        "The endpoint's certificate is signed by an unknown authority.",
        "Put the authority's certificate into the storage secret as ca.crt.",
    )
    NO_CREDENTIALS = (
        "NoCredentials",
        "The Secret holds no usable keys.",
        "Put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the storage secret.",
    )
    NOT_AN_ADAPTER = (
        "NotAnAdapter",
        "The address holds no whole adapter: its manifest cannot be read, or a file is missing from it.",
        "Publish it again, or name the folder of another.",
    )
    NO_MANIFEST = (
        "NoManifest",
        "The folder has no `manifest.json`: it was not published by a finished job.",
        "Name an adapter that a FineTuneJob published.",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "Stored bytes differ from the digest that was recorded for them: somebody changed the files.",
        "Restore them, or register a new BaseModel or publish the adapter again.",
    )
    FORBIDDEN_FILE = (
        "ForbiddenFile",
        "The manifest lists a file of a kind that is never loaded, such as a pickle.",
        "Publish it again without that file, as safetensors only.",
    )
    WRONG_REGION = (
        "WrongRegion",
        "The bucket is in another region than the Secret says.",
        "Set AWS_REGION in the storage secret to the bucket's region.",
    )
    TOO_LARGE = (
        "ObjectTooLarge",
        "An object is larger than what is read or stored there.",
        "Make it smaller, or split it.",
    )
    OTHER = (
        "StorageError",
        "Storage failed in another way; the message is the storage's own. The operation is retried.",
        "See the object store's own log.",
    )


RETRYABLE = frozenset({StorageReason.UNREACHABLE, StorageReason.OTHER})


class StorageError(Exception):
    """Storage refused or failed; the message says what, where and what to do."""

    def __init__(self, reason: StorageReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def retryable(self) -> bool:
        """Return whether the same call may succeed later although nothing is changed."""
        return self.reason in RETRYABLE
