"""Create buckets in an S3 store from this machine."""

from __future__ import annotations

from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client

_ALREADY_THERE = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})


def connect(endpoint: str, access_key: str, secret_key: str, region: str, authority: Path) -> S3Client:
    """Return a client that trusts only `authority`, uses no proxy and has short timeouts."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region,
        verify=str(authority),
        config=Config(proxies={}, connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
    )


def ensure(client: S3Client, bucket: str) -> bool:
    """Create the bucket if it does not exist; return whether it exists now."""
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        return error.response["Error"]["Code"] in _ALREADY_THERE
    except BotoCoreError:
        return False
    return True
