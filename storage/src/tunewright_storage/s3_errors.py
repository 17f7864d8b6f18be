"""Translate failures of S3 and botocore into `StorageError`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import boto3
from botocore import exceptions as botocore_exceptions

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason

_REASON_BY_CODE = {
    "AccessDenied": StorageReason.ACCESS_DENIED,
    "InvalidAccessKeyId": StorageReason.ACCESS_DENIED,
    "SignatureDoesNotMatch": StorageReason.ACCESS_DENIED,
    "ExpiredToken": StorageReason.ACCESS_DENIED,
    "InvalidToken": StorageReason.ACCESS_DENIED,
    "RequestTimeTooSkewed": StorageReason.ACCESS_DENIED,
    "401": StorageReason.ACCESS_DENIED,
    "403": StorageReason.ACCESS_DENIED,
    "NoSuchBucket": StorageReason.NO_SUCH_BUCKET,
    "NoSuchKey": StorageReason.NOT_FOUND,
    "404": StorageReason.NOT_FOUND,
    # 301: a bucket in another region, to which botocore could not follow the redirect.
    "301": StorageReason.WRONG_REGION,
    "PermanentRedirect": StorageReason.WRONG_REGION,
    "AuthorizationHeaderMalformed": StorageReason.WRONG_REGION,
    "EntityTooLarge": StorageReason.TOO_LARGE,
    "SlowDown": StorageReason.UNREACHABLE,
    "ServiceUnavailable": StorageReason.UNREACHABLE,
    "InternalError": StorageReason.UNREACHABLE,
    "RequestTimeout": StorageReason.UNREACHABLE,
    # The answers of a proxy in front of the store while the store is unavailable.
    "429": StorageReason.UNREACHABLE,
    "500": StorageReason.UNREACHABLE,
    "502": StorageReason.UNREACHABLE,
    "503": StorageReason.UNREACHABLE,
    "504": StorageReason.UNREACHABLE,
}


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
        # A proxy that answers instead of the store sends no XML, so only the HTTP status is known. Its 404 does not
        # mean that the object is missing: stored work must not count as lost.
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        code = str(error.response.get("Error", {}).get("Code") or ("" if status == 404 else status))
        if code in {"PreconditionFailed", "412", "ConditionalRequestConflict"}:
            raise AlreadyThereError from error
        raise _storage_error(_REASON_BY_CODE.get(code, StorageReason.OTHER), verb, uri, code or str(error)) from error
    except botocore_exceptions.SSLError as error:
        raise _storage_error(_judge_tls(str(error)), verb, uri, _root_cause(error)) from error
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


def _judge_tls(text: str) -> StorageReason:
    """Return the reason of a TLS failure: an untrusted certificate, or a connection that broke or does not use TLS."""
    about_trust = any(word in text.lower() for word in ("certificate", "x509", "unknown ca"))
    return StorageReason.UNKNOWN_AUTHORITY if about_trust else StorageReason.UNREACHABLE


def _storage_error(reason: StorageReason, verb: str, uri: StorageURI, detail: str) -> StorageError:
    remedy = reason.remedy[0].lower() + reason.remedy[1:].removesuffix(".")
    return StorageError(reason, f"cannot {verb} {uri}: {detail}; {remedy}")


def _root_cause(error: BaseException) -> str:
    """Return the innermost cause in a few words: urllib3 wraps it several times."""
    text = str(error)
    for marker in (
        "certificate verify failed",
        "wrong version number",
        "Connection refused",
        "Name or service not known",
        "timed out",
    ):
        if marker.lower() in text.lower():
            return marker
    return text[:200]
