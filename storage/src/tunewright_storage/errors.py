"""The reasons of storage failures, and their remedies."""

from __future__ import annotations

from tunewright_contracts import reasons
from tunewright_storage.redaction import redact


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
        "The endpoint's certificate is signed by an unknown authority, or ca.crt cannot be read.",
        "Put the authority's certificate into the storage secret as ca.crt, in PEM format.",
    )
    CERTIFICATE_EXPIRED = (
        "CertificateExpired",
        "The certificate of the endpoint, or of its authority, has expired.",
        "Renew that certificate, and check the clock of the node.",
    )
    CERTIFICATE_NOT_YET_VALID = (
        "CertificateNotYetValid",
        "The certificate of the endpoint, or of its authority, is not valid yet.",
        "Check the clock of the node and the dates of the certificate.",
    )
    CERTIFICATE_NAME_MISMATCH = (
        "CertificateNameMismatch",
        "The endpoint's certificate was issued for another host name.",
        "Set AWS_ENDPOINT_URL_S3 to a name in the certificate, or issue a certificate for this name.",
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
    ARCHIVED = (
        "ObjectArchived",
        "The object is in an archive storage class and cannot be read.",
        "Restore the object, or copy it to a storage class that can be read directly.",
    )
    NOT_SUPPORTED = (
        "NotSupported",
        "The object store does not support an operation that Tunewright needs.",
        "Upgrade the object store, or use one that supports the operation.",
    )
    ENCRYPTION_KEY = (
        "EncryptionKeyUnavailable",
        "The key that encrypts the bucket or the object is disabled, missing, or not allowed for this identity.",
        "Enable the KMS key, and allow the identity of the storage secret to encrypt and decrypt with it.",
    )
    QUOTA = (
        "QuotaExceeded",
        "The quota of the bucket or the account is used up, or the object store is full.",
        "Delete objects that are no longer needed, or raise the quota.",
    )
    CLOCK_SKEW = (
        "ClockSkew",
        "The clocks of the node and of the object store differ by more than the store allows.",
        "Synchronize both clocks, for example with NTP.",
    )
    CREDENTIALS_EXPIRED = (
        "CredentialsExpired",
        "The temporary credentials in the Secret have expired.",
        ("Put new values of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN into the storage secret."),
    )
    REJECTED = (
        "RequestRejected",
        "The endpoint rejected the request, and would reject it again.",
        "Correct what the message names, and see the object store's log for the cause.",
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
CONTENT_PROBLEMS = frozenset(
    {
        StorageReason.NOT_AN_ADAPTER,
        StorageReason.NO_MANIFEST,
        StorageReason.DIGEST_MISMATCH,
        StorageReason.FORBIDDEN_FILE,
        StorageReason.TOO_LARGE,
    }
)
"""What is stored is wrong. Any other reason is about access to it: the content may still be good."""


class StorageError(Exception):
    """Storage denied access or failed; the message states what was wrong, where and what to do.

    The message may quote a library: credentials are removed from it.
    """

    def __init__(self, reason: StorageReason, message: str) -> None:
        super().__init__(redact(message))
        self.reason = reason

    @property
    def retryable(self) -> bool:
        """Return whether the same call may succeed later without a change."""
        return self.reason in RETRYABLE
