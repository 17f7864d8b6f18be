"""A thin port over boto3's S3 client: addresses in, digests out, every failure a `StorageError`."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions as botocore_exceptions
from botocore.config import Config

from tunewright_contracts.locations import CA_BUNDLE_PATH
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason

_CHUNK_BYTES = 1 << 20
_MULTIPART_BYTES = 64 << 20

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
    # 301 is a bucket of another region whose answer botocore could not follow.
    "301": StorageReason.WRONG_REGION,
    "PermanentRedirect": StorageReason.WRONG_REGION,
    "AuthorizationHeaderMalformed": StorageReason.WRONG_REGION,
    "EntityTooLarge": StorageReason.TOO_LARGE,
    "SlowDown": StorageReason.UNREACHABLE,
    "ServiceUnavailable": StorageReason.UNREACHABLE,
    "InternalError": StorageReason.UNREACHABLE,
    "RequestTimeout": StorageReason.UNREACHABLE,
    # What a proxy in front of the store answers in its place while that is away.
    "429": StorageReason.UNREACHABLE,
    "500": StorageReason.UNREACHABLE,
    "502": StorageReason.UNREACHABLE,
    "503": StorageReason.UNREACHABLE,
    "504": StorageReason.UNREACHABLE,
}

_ADVICE = {
    StorageReason.ACCESS_DENIED: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the storage secret and that they may {verb} there",
    StorageReason.NO_SUCH_BUCKET: "create the bucket or correct the URI",
    StorageReason.NOT_FOUND: "check that the object exists and the URI is spelled as it is stored",
    StorageReason.UNREACHABLE: "check AWS_ENDPOINT_URL_S3 in the storage secret and that the object store is up",
    StorageReason.UNKNOWN_AUTHORITY: "put the certificate authority that signed the object store's certificate into the storage secret as ca.crt",
    StorageReason.NO_CREDENTIALS: "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the storage secret",
    StorageReason.WRONG_REGION: "set AWS_REGION in the storage secret to the bucket's region",
    StorageReason.TOO_LARGE: "make it smaller, or split it",
    StorageReason.OTHER: "see the object store's own log",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One listed object: ``size`` in bytes; ``version`` is the ETag, which changes when the content does."""

    uri: StorageURI
    size: int
    version: str


class ObjectStore:
    """Read and write objects. Thread-safe, since boto3 clients are."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def from_environment(cls, ca_bundle: Path | None = None) -> ObjectStore:
        """Build a store from AWS_* variables and, when the file is there, the private CA of the storage secret.

        Path-style addresses are used with a custom endpoint, since a bucket's own host name needs wildcard DNS.

        Raises:
            StorageError: the endpoint is no URL, or the region no region.
        """
        bundle = ca_bundle or Path(os.environ.get("TUNEWRIGHT_CA_BUNDLE", CA_BUNDLE_PATH))
        custom_endpoint = bool(os.environ.get("AWS_ENDPOINT_URL_S3"))
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": "path" if custom_endpoint else "auto"},
        )
        # A storage secret may leave the region out: S3-compatible stores ignore it, but boto3 insists on one.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        verify = str(bundle) if bundle.is_file() and bundle.stat().st_size else None
        # A session of its own: the default one remembers the first credentials that a process saw.
        session = boto3.session.Session()
        try:
            return cls(session.client("s3", region_name=region, config=config, verify=verify))
        except (ValueError, botocore_exceptions.BotoCoreError) as error:
            raise StorageError(
                StorageReason.INVALID_URI,
                f"{error}; correct AWS_ENDPOINT_URL_S3 (https://host:port) or AWS_REGION in the storage secret",
            ) from error

    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        """Yield the object at an address, or all objects below it, in key order.

        Raises:
            StorageError: the bucket cannot be listed.
        """
        with _translated("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
            for page in pages:
                for item in page.get("Contents", ()):
                    key = str(item["Key"])
                    if key.endswith("/"):
                        continue  # a folder marker of some S3 browsers
                    uri = StorageURI(prefix.bucket, key)
                    if uri.is_within(prefix):
                        yield ObjectInfo(uri, int(item["Size"]), str(item["ETag"]).strip('"'))

    def exists(self, uri: StorageURI) -> bool:
        """Tell whether an object is there.

        Raises:
            StorageError: the store did not say.
        """
        try:
            with _translated("read", uri):
                self._client.head_object(Bucket=uri.bucket, Key=uri.key)
        except StorageError as error:
            if error.reason is StorageReason.NOT_FOUND:
                return False
            raise
        return True

    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        """Return an object's bytes.

        Raises:
            StorageError: it is not there, may not be read, or is over ``max_bytes``.
        """
        with _translated("read", uri):
            body = self._client.get_object(Bucket=uri.bucket, Key=uri.key)["Body"]
            data = bytes(body.read() if max_bytes is None else body.read(max_bytes + 1))
        if max_bytes is not None and len(data) > max_bytes:
            raise StorageError(StorageReason.TOO_LARGE, f"{uri} is over {max_bytes} bytes, the most that is read of it")
        return data

    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        """Write an object to a file and return its ``sha256:<hex>``. The file appears whole or not at all.

        Raises:
            StorageError: it is not there, may not be read, or is over ``max_bytes``: then nothing is written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        hasher = hashlib.sha256()
        with _translated("read", uri):
            answer = self._client.get_object(Bucket=uri.bucket, Key=uri.key)
            if max_bytes is not None and answer["ContentLength"] > max_bytes:
                problem = f"{uri} has {answer['ContentLength']} bytes and should have {max_bytes}"
                raise StorageError(StorageReason.DIGEST_MISMATCH, f"{problem}; publish it again")
            with partial.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                    hasher.update(chunk)
                    file.write(chunk)
        partial.replace(path)
        return f"sha256:{hasher.hexdigest()}"

    def upload(self, path: Path, uri: StorageURI) -> str:
        """Store a file, with a SHA-256 checksum that the store verifies, and return its ``sha256:<hex>``.

        Raises:
            StorageError: it may not be written.
        """
        digest = digest_file(path)
        with _translated("write", uri):
            if path.stat().st_size >= _MULTIPART_BYTES:
                # From a file object: by a path, boto3 would hide the store's answer in an error of its own.
                with path.open("rb") as body:
                    self._client.upload_fileobj(body, uri.bucket, uri.key, ExtraArgs={"ChecksumAlgorithm": "SHA256"})
            else:
                with path.open("rb") as body:
                    self._client.put_object(
                        Bucket=uri.bucket, Key=uri.key, Body=body, ChecksumSHA256=_base64_digest(digest)
                    )
        return digest

    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        """Store bytes; with ``if_absent`` only when nothing is there (``If-None-Match: *``).

        Returns:
            False when ``if_absent`` found something there already.

        Raises:
            StorageError: it may not be written.
        """
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        try:
            with _translated("write", uri):
                self._client.put_object(Bucket=uri.bucket, Key=uri.key, Body=data, **condition)
        except _AlreadyThereError:
            return False
        return True

    def delete_prefix(self, prefix: StorageURI) -> int:
        """Delete everything at or below an address and return how many objects that were.

        Raises:
            StorageError: something may not be listed or deleted.
        """
        count = 0
        for item in list(self.list(prefix)):
            with _translated("delete", item.uri):
                self._client.delete_object(Bucket=item.uri.bucket, Key=item.uri.key)
            count += 1
        return count

    def check_writable(self, prefix: StorageURI) -> None:
        """Write and delete a small object below a prefix, so that a job fails before it costs anything.

        Raises:
            StorageError: it may not be written.
        """
        probe = prefix.join(f".tunewright-write-check-{os.urandom(6).hex()}")
        self.write(probe, b"Tunewright checks that it may write here.\n")
        # A write-only identity is fine: what matters is that results can be stored.
        with contextlib.suppress(StorageError), _translated("delete", probe):
            self._client.delete_object(Bucket=probe.bucket, Key=probe.key)


def digest_file(path: Path) -> str:
    """Return a file's ``sha256:<hex>``."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _base64_digest(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()


class _AlreadyThereError(Exception):
    """A conditional write found an object."""


@contextlib.contextmanager
def _translated(verb: str, uri: StorageURI) -> Iterator[None]:
    """Turn botocore's exceptions into `StorageError`."""
    try:
        yield
    except botocore_exceptions.ClientError as error:
        # Whatever answers in the store's place sends no XML, and then there is only the HTTP status. Its 404 is no word
        # about the object: work that is there must not count as missing.
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        code = str(error.response.get("Error", {}).get("Code") or ("" if status == 404 else status))
        if code in {"PreconditionFailed", "412", "ConditionalRequestConflict"}:
            raise _AlreadyThereError from error
        raise _storage_error(_REASON_BY_CODE.get(code, StorageReason.OTHER), verb, uri, code or str(error)) from error
    except botocore_exceptions.SSLError as error:
        raise _storage_error(_judge_tls(str(error)), verb, uri, _root_cause(error)) from error
    except RecursionError as error:
        # botocore follows a redirect that names no region by asking again, without end.
        detail = "the endpoint answers with redirects (is it http:// where https:// is served?)"
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
    """Tell a certificate that is not trusted from a connection that broke off or speaks no TLS at all."""
    about_trust = any(word in text.lower() for word in ("certificate", "x509", "unknown ca"))
    return StorageReason.UNKNOWN_AUTHORITY if about_trust else StorageReason.UNREACHABLE


def _storage_error(reason: StorageReason, verb: str, uri: StorageURI, detail: str) -> StorageError:
    advice = _ADVICE[reason].format(verb=verb)
    return StorageError(reason, f"cannot {verb} {uri}: {detail}; {advice}")


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason in a few words: urllib3 wraps it several times."""
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
