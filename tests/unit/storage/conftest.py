import functools

import moto
import pytest
from botocore import loaders

from tunewright_storage.object_store import ObjectStore


@pytest.fixture(autouse=True, scope="session")
def service_descriptions():
    """Let all clients share one loader: each would read megabytes of service descriptions for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", functools.cache(loaders.create_loader))
        yield


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
        store = ObjectStore.from_environment()
        store._client.create_bucket(Bucket="bucket")
        yield store
