"""A thin layer over boto3's S3 client: it takes addresses, returns digests, and raises only `StorageError`."""

from __future__ import annotations

import base64
import contextlib
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
from tunewright_storage.credentials import clean_environment
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.s3_errors import AlreadyThereError, check_answer, is_status, translated
from tunewright_storage.store import ObjectInfo, Store, digest_file
from tunewright_storage.tls_errors import check_bundle

_CHUNK_BYTES = 1 << 20
_MULTIPART_BYTES = 64 << 20


class ObjectStore(Store):
    """Read and write objects. Thread-safe, because boto3 clients are."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    def from_environment(cls, ca_bundle: Path | None = None) -> ObjectStore:
        """Build a store from AWS_* variables and, if the file exists, the private CA of the storage secret.

        With a custom endpoint it uses path-style addresses, because a host name for each bucket needs wildcard DNS.

        Raises:
            StorageError: the endpoint, the region, a credential or ca.crt is invalid.
        """
        clean_environment()
        bundle = ca_bundle or Path(os.environ.get("TUNEWRIGHT_CA_BUNDLE", CA_BUNDLE_PATH))
        custom_endpoint = bool(os.environ.get("AWS_ENDPOINT_URL_S3"))
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": "path" if custom_endpoint else "auto"},
            # Otherwise boto3 sends and wants CRC checksums of its choice, which many S3-compatible stores reject.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # A storage secret may have no region: S3-compatible stores ignore it, but boto3 requires one.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        verify = str(bundle) if bundle.is_file() and bundle.stat().st_size else None
        if verify is not None:
            check_bundle(bundle)
        # A new session: the default one keeps the first credentials that a process used.
        session = boto3.session.Session()
        try:
            client = session.client("s3", region_name=region, config=config, verify=verify)
        except botocore_exceptions.PartialCredentialsError as error:
            raise StorageError(
                StorageReason.NO_CREDENTIALS,
                "the storage secret has AWS_ACCESS_KEY_ID, but no AWS_SECRET_ACCESS_KEY; add it",
            ) from error
        except (ValueError, botocore_exceptions.BotoCoreError) as error:
            raise StorageError(
                StorageReason.INVALID_URI,
                f"{error}; correct AWS_ENDPOINT_URL_S3 (https://host:port) or AWS_REGION in the storage secret",
            ) from error
        for call in ("PutObject", "UploadPart"):
            client.meta.events.register(f"before-parameter-build.s3.{call}", _add_checksum)
        return cls(client)

    def list(self, prefix: StorageURI) -> Iterator[ObjectInfo]:
        """See `Store.list`."""
        with translated("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
            for page in pages:
                check_answer(page, ("IsTruncated",), "list", prefix)
                for item in page.get("Contents", ()):
                    key = str(item["Key"])
                    if key.endswith("/"):
                        continue  # a folder marker of some S3 browsers
                    uri = StorageURI(prefix.bucket, key)
                    if uri.is_within(prefix):
                        yield ObjectInfo(uri, int(item["Size"]), str(item["ETag"]).strip('"'))

    def exists(self, uri: StorageURI) -> bool:
        """See `Store.exists`."""
        try:
            with translated("read", uri):
                answer = self._client.head_object(Bucket=uri.bucket, Key=uri.key)
                check_answer(answer, ("ETag", "LastModified"), "read", uri)
        except StorageError as error:
            if not is_status(error.__cause__, 404):
                raise
            return self._confirm(uri)
        return True

    def _confirm(self, uri: StorageURI) -> bool:
        """Return whether an object is there, by a GET: the answer to HEAD has no body, so a proxy's 404 looks alike."""
        try:
            self._open(uri)["Body"].close()
        except StorageError as error:
            if error.reason is StorageReason.NOT_FOUND:
                return False
            raise
        return True

    def _open(self, uri: StorageURI) -> Any:
        with translated("read", uri):
            answer = self._client.get_object(Bucket=uri.bucket, Key=uri.key)
            check_answer(answer, ("ETag", "LastModified"), "read", uri)
            return answer

    def read(self, uri: StorageURI, max_bytes: int | None = None) -> bytes:
        """See `Store.read`."""
        with translated("read", uri):
            body = self._open(uri)["Body"]
            data = bytes(body.read() if max_bytes is None else body.read(max_bytes + 1))
        if max_bytes is not None and len(data) > max_bytes:
            raise StorageError(StorageReason.TOO_LARGE, f"{uri} has more than {max_bytes} bytes, which is the limit")
        return data

    def download(self, uri: StorageURI, path: Path, max_bytes: int | None = None) -> str:
        """See `Store.download`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        try:
            digest = self._stream(uri, partial, max_bytes)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)  # the remains of failed downloads would fill the disk
        return digest

    def _stream(self, uri: StorageURI, path: Path, max_bytes: int | None) -> str:
        """Write an object to a file and return its digest; stop at ``max_bytes`` even if the store states less."""
        hasher = hashlib.sha256()
        size = 0
        with translated("read", uri):
            answer = self._open(uri)
            with contextlib.closing(answer["Body"]) as body:
                _check_size(uri, answer.get("ContentLength") or 0, max_bytes)
                with path.open("wb") as file:
                    for chunk in body.iter_chunks(_CHUNK_BYTES):
                        size += len(chunk)
                        _check_size(uri, size, max_bytes)
                        hasher.update(chunk)
                        file.write(chunk)
        return f"sha256:{hasher.hexdigest()}"

    def upload(self, path: Path, uri: StorageURI) -> str:
        """See `Store.upload`."""
        digest = digest_file(path)
        # A file object: with a path, boto3 would hide the store's answer in another error.
        with translated("write", uri), path.open("rb") as body:
            if path.stat().st_size >= _MULTIPART_BYTES:
                self._client.upload_fileobj(body, uri.bucket, uri.key, ExtraArgs={"ChecksumAlgorithm": "SHA256"})
            else:
                answer = self._client.put_object(
                    Bucket=uri.bucket, Key=uri.key, Body=body, ChecksumSHA256=_base64_digest(digest)
                )
                check_answer(answer, ("ETag",), "write", uri)
        return digest

    def write(self, uri: StorageURI, data: bytes, *, if_absent: bool = False) -> bool:
        """See `Store.write`."""
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        try:
            with translated("write", uri):
                answer = self._client.put_object(Bucket=uri.bucket, Key=uri.key, Body=data, **condition)
                check_answer(answer, ("ETag",), "write", uri)
        except AlreadyThereError:
            return False
        return True

    def delete_prefix(self, prefix: StorageURI) -> int:
        """See `Store.delete_prefix`."""
        count = 0
        for item in list(self.list(prefix)):
            with translated("delete", item.uri):
                self._client.delete_object(Bucket=item.uri.bucket, Key=item.uri.key)
            count += 1
        return count

    def check_writable(self, prefix: StorageURI) -> None:
        """See `Store.check_writable`."""
        probe = prefix.join(f".tunewright-write-check-{os.urandom(6).hex()}")
        self.write(probe, b"Tunewright checks that it may write here.\n")
        # An identity that can write but not delete is enough: only results are stored.
        with contextlib.suppress(StorageError), translated("delete", probe):
            self._client.delete_object(Bucket=probe.bucket, Key=probe.key)


def _check_size(uri: StorageURI, size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise StorageError(
            StorageReason.DIGEST_MISMATCH, f"{uri} has {size} bytes instead of {max_bytes}; publish it again"
        )


def _add_checksum(params: dict[str, Any], **_: Any) -> None:
    """Give an object or a part its SHA-256 in a header, which the store verifies.

    boto3 would append it to the body over https (a "trailing checksum"), which many S3-compatible stores reject.
    """
    if "ChecksumSHA256" in params:
        return
    body = params["Body"]
    hasher = hashlib.sha256()
    if isinstance(body, bytes):
        hasher.update(body)
    else:
        while chunk := body.read(_CHUNK_BYTES):
            hasher.update(chunk)
        body.seek(0)
    params["ChecksumSHA256"] = base64.b64encode(hasher.digest()).decode()


def _base64_digest(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
