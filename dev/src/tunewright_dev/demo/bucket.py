"""Write to the bucket and read from it; if the store does not answer in time, the request is repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client

from tunewright_dev.errors import DevError
from tunewright_dev.object_store import endpoint

Answer = TypeVar("Answer")

ATTEMPTS = 60
"""At least three minutes, which is longer than the store takes to restart after its liveness probe fails."""
PAUSE_SECONDS = 3.0


def format_uri(key: str) -> str:
    """Return the address of a key."""
    return f"s3://{endpoint.BUCKET}/{key}"


def put(store: S3Client, key: str, data: bytes) -> None:
    """Store an object.

    Raises:
        DevError: the store rejected the request, or did not answer.
    """
    _repeat(key, lambda: store.put_object(Bucket=endpoint.BUCKET, Key=key, Body=data))


def read(store: S3Client, key: str) -> bytes:
    """Return an object's bytes.

    Raises:
        DevError: the object does not exist, or the store did not answer.
    """

    def get() -> bytes:
        return store.get_object(Bucket=endpoint.BUCKET, Key=key)["Body"].read()

    return _repeat(key, get)


def _repeat(key: str, ask: Callable[[], Answer]) -> Answer:
    for attempt in range(ATTEMPTS):
        try:
            return ask()
        except ClientError as error:
            raise DevError(f"The object store rejected the request for {format_uri(key)}: {error}") from error
        except BotoCoreError as error:
            if attempt == ATTEMPTS - 1:
                hint = f"`kubectl -n {endpoint.NAMESPACE} get pods` shows whether it runs."
                raise DevError(f"The object store did not answer for {format_uri(key)}: {error}. {hint}") from error
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last attempt returns or raises")
