"""Translate failures of S3 and botocore into `StorageError`."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import boto3
from botocore import exceptions as botocore_exceptions
from botocore.parsers import ResponseParserError

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.redaction import redact
from tunewright_storage.tls_errors import describe_tls, judge_tls

_REASON_BY_CODE = {
    "AccessDenied": StorageReason.ACCESS_DENIED,
    "InvalidAccessKeyId": StorageReason.ACCESS_DENIED,
    "SignatureDoesNotMatch": StorageReason.ACCESS_DENIED,
    "InvalidToken": StorageReason.ACCESS_DENIED,
    "ExpiredToken": StorageReason.CREDENTIALS_EXPIRED,
    "ExpiredTokenException": StorageReason.CREDENTIALS_EXPIRED,
    "TokenRefreshRequired": StorageReason.CREDENTIALS_EXPIRED,
    "RequestTimeTooSkewed": StorageReason.CLOCK_SKEW,
    "RequestExpired": StorageReason.CLOCK_SKEW,
    "NoSuchBucket": StorageReason.NO_SUCH_BUCKET,
    "NoSuchKey": StorageReason.NOT_FOUND,
    "PermanentRedirect": StorageReason.WRONG_REGION,
    "AuthorizationHeaderMalformed": StorageReason.WRONG_REGION,
    "EntityTooLarge": StorageReason.TOO_LARGE,
    "InvalidObjectState": StorageReason.ARCHIVED,
    "ObjectNotInActiveTierError": StorageReason.ARCHIVED,
    "NotImplemented": StorageReason.NOT_SUPPORTED,
    "MethodNotAllowed": StorageReason.NOT_SUPPORTED,
    "QuotaExceeded": StorageReason.QUOTA,
    "QuotaExceededException": StorageReason.QUOTA,
    "InsufficientStorage": StorageReason.QUOTA,
    "InsufficientCapacity": StorageReason.QUOTA,
    "XMinioStorageFull": StorageReason.QUOTA,
    "XMinioAdminBucketQuotaExceeded": StorageReason.QUOTA,
    # Each of these has a status of a permanent error with some stores, and another attempt can succeed.
    "BadDigest": StorageReason.UNREACHABLE,
    "IncompleteBody": StorageReason.UNREACHABLE,
    "InternalError": StorageReason.UNREACHABLE,
    "NoSuchUpload": StorageReason.UNREACHABLE,
    "OperationAborted": StorageReason.UNREACHABLE,
    "RequestLimitExceeded": StorageReason.UNREACHABLE,
    "BandwidthLimitExceeded": StorageReason.UNREACHABLE,
    "RequestTimeout": StorageReason.UNREACHABLE,
    "RequestTimeoutException": StorageReason.UNREACHABLE,
    "ServiceUnavailable": StorageReason.UNREACHABLE,
    "SlowDown": StorageReason.UNREACHABLE,
    "TooManyRequests": StorageReason.UNREACHABLE,
    "TooManyRequestsException": StorageReason.UNREACHABLE,
    "XAmzContentSHA256Mismatch": StorageReason.UNREACHABLE,
}
"""S3's error codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, MinIO's and Ceph's."""

_REASON_BY_STATUS = {
    # 301 is a bucket of another region whose answer botocore could not follow.
    301: StorageReason.WRONG_REGION,
    401: StorageReason.ACCESS_DENIED,
    403: StorageReason.ACCESS_DENIED,
    # Without the store's own code, a proxy or a mesh answered: it does not know which objects there are.
    404: StorageReason.UNREACHABLE,
    405: StorageReason.NOT_SUPPORTED,
    408: StorageReason.UNREACHABLE,
    413: StorageReason.TOO_LARGE,
    425: StorageReason.UNREACHABLE,
    429: StorageReason.UNREACHABLE,
    501: StorageReason.NOT_SUPPORTED,
    507: StorageReason.QUOTA,
}
_SHOWN_CHARACTERS = 200


class AlreadyThereError(Exception):
    """A conditional write found an object."""


@contextlib.contextmanager
def translated(verb: str, uri: StorageURI) -> Iterator[None]:
    """Turn botocore's exceptions into `StorageError`.

    Args:
        verb: what the block does at the address, for the message: ``read``, ``write``, ``list``, ``delete``.
        uri: the address.

    Raises:
        StorageError: the call failed.
        AlreadyThereError: a conditional write found an object.
    """
    try:
        yield
    except botocore_exceptions.ClientError as error:
        code, status = _read_answer(error)
        if status == 412 or code in {"PreconditionFailed", "ConditionalRequestConflict"}:
            raise AlreadyThereError from error
        reason = _judge_answer(code, status)
        raise _storage_error(reason, verb, uri, _describe_answer(error, reason, code, status)) from error
    except (ResponseParserError, KeyError) as error:
        # No XML where S3 sends it, or XML without the fields that boto3 reads from it.
        raise _foreign_answer(verb, uri) from error
    except botocore_exceptions.SSLError as error:
        text = str(error)
        raise _storage_error(judge_tls(text), verb, uri, describe_tls(text) or _root_cause(error)) from error
    except RecursionError as error:
        # botocore repeats a request without end if a redirect names no region.
        detail = "the endpoint answers only with redirects (is its URL http:// instead of https://?)"
        raise _storage_error(StorageReason.UNREACHABLE, verb, uri, detail) from error
    except (botocore_exceptions.NoCredentialsError, botocore_exceptions.PartialCredentialsError) as error:
        raise _storage_error(StorageReason.NO_CREDENTIALS, verb, uri, str(error)) from error
    except (
        botocore_exceptions.HTTPClientError,
        botocore_exceptions.ConnectionError,
        botocore_exceptions.IncompleteReadError,
        botocore_exceptions.ResponseStreamingError,
    ) as error:
        raise _storage_error(StorageReason.UNREACHABLE, verb, uri, _root_cause(error)) from error
    except (botocore_exceptions.BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise _storage_error(StorageReason.OTHER, verb, uri, str(error)) from error


def check_answer(answer: Mapping[str, Any], fields: Collection[str], verb: str, uri: StorageURI) -> None:
    """Check that an answer with status 200 is S3's: a proxy's login page has none of S3's fields.

    Args:
        answer: the answer as boto3 returns it.
        fields: S3 always sends at least one of these.
        verb: as for `translated`.
        uri: the address.

    Raises:
        StorageError: all of them are missing.
    """
    if not any(field in answer for field in fields):
        raise _foreign_answer(verb, uri)


def _foreign_answer(verb: str, uri: StorageURI) -> StorageError:
    detail = "the endpoint's answer is not S3's: a proxy may have answered in its place"
    return _storage_error(StorageReason.UNREACHABLE, verb, uri, detail)


def is_status(error: BaseException | None, status: int) -> bool:
    """Return whether an error is an answer with an HTTP status."""
    return isinstance(error, botocore_exceptions.ClientError) and _read_answer(error)[1] == status


def _read_answer(error: botocore_exceptions.ClientError) -> tuple[str, int]:
    """Return S3's error code, empty when there is none, and the HTTP status, 0 when it is not known.

    A body that is not S3's leaves no code, or the status in its place.
    """
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    code = str(error.response.get("Error", {}).get("Code") or "")
    if code.isdigit():
        return "", status or int(code)
    return code, status


def _judge_answer(code: str, status: int) -> StorageReason:
    """Return the reason of a refusal. Pure."""
    if code in _REASON_BY_CODE:
        return _REASON_BY_CODE[code]
    if "throttl" in code.lower():
        return StorageReason.UNREACHABLE
    if "KMS" in code:
        return StorageReason.ENCRYPTION_KEY
    if status in _REASON_BY_STATUS:
        return _REASON_BY_STATUS[status]
    if 300 <= status < 400 or status >= 500:
        return StorageReason.UNREACHABLE
    return StorageReason.REJECTED if 400 <= status < 500 else StorageReason.OTHER


def _describe_answer(error: botocore_exceptions.ClientError, reason: StorageReason, code: str, status: int) -> str:
    """Return the code, or that there is none, and the store's message where the code alone explains little."""
    if not code:
        return f"HTTP {status} without an S3 error code: a proxy or mesh may have answered in the object store's place"
    message = redact(str(error.response.get("Error", {}).get("Message") or ""))[:_SHOWN_CHARACTERS].strip()
    explained = reason not in {StorageReason.REJECTED, StorageReason.OTHER} or not message
    return code if explained else f"{code} ({message.rstrip('.')})"


def _storage_error(reason: StorageReason, verb: str, uri: StorageURI, detail: str) -> StorageError:
    remedy = reason.remedy[0].lower() + reason.remedy[1:].removesuffix(".")
    return StorageError(reason, f"cannot {verb} {uri}: {detail}; {remedy}")


def _root_cause(error: BaseException) -> str:
    """Return the innermost cause in a few words: urllib3 wraps it several times."""
    text = redact(str(error))  # before it is cut: half of a credential would not be recognised
    for marker in (
        "certificate verify failed",
        "wrong version number",
        "Connection refused",
        "Name or service not known",
        "timed out",
    ):
        if marker.lower() in text.lower():
            return marker
    return text[:_SHOWN_CHARACTERS]
