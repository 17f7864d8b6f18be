"""Why storage did not answer, in the words of the person who must mend it."""

from __future__ import annotations

from tunewright_contracts import reasons


class StorageReason(reasons.Reason):
    """The kind of failure; each is a condition reason (docs/reference/conditions.md)."""

    INVALID_URI = (
        "InvalidURI",
        "An `s3://` address could mean two things or names no bucket, or the Secret's endpoint or region is none.",
        "Write it as `s3://bucket/prefix` without `..`, empty segments, escapes or wildcards; or correct AWS_ENDPOINT_URL_S3 or AWS_REGION.",
    )
    INVALID_REQUEST = (
        "InvalidRequest",
        "An inspection's request cannot be read: operator and its image do not fit together.",
        "Install the operator and its images of one release.",
    )
    ACCESS_DENIED = (
        "AccessDenied",
        "The credentials may not do this.",
        "Grant the identity the right on the address in the message, or use another Secret.",
    )
    NO_SUCH_BUCKET = ("NoSuchBucket", "The bucket does not exist.", "Create it or correct the address.")
    NOT_FOUND = ("NotFound", "Nothing is stored at the address.", "Correct the address or upload the data.")
    UNREACHABLE = (
        "StorageUnreachable",
        "The endpoint did not answer.",
        "Nothing, if it comes back: it is tried again. Else check AWS_ENDPOINT_URL_S3 in the Secret and the network.",
    )
    UNKNOWN_AUTHORITY = (
        "UnknownAuthority",
        "The endpoint's certificate is signed by an unknown authority.",
        "Put the authority's certificate into the Secret as `ca.crt`.",
    )
    NO_CREDENTIALS = (
        "NoCredentials",
        "The Secret holds no usable keys.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in it.",
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
        "Set AWS_REGION in the Secret to the bucket's region.",
    )
    TOO_LARGE = (
        "ObjectTooLarge",
        "An object is larger than what is read or stored there.",
        "Make it smaller, or split it.",
    )
    OTHER = (
        "StorageError",
        "Storage failed in another way; the message is the storage's own.",
        "Nothing, if it passes: it is tried again. Else see the object store's own log.",
    )


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
