import boto3
import moto
import pytest

from tunewright_storage.object_store import ObjectStore


@pytest.fixture
def store(monkeypatch):
    """A store on an in-memory S3 with the bucket `bucket`."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with moto.mock_aws():
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield ObjectStore.from_environment()
