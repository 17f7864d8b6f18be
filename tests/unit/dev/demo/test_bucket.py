"""A request to a slow store is repeated; a refused one is not."""

from __future__ import annotations

import io

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tunewright_dev.demo import bucket
from tunewright_dev.errors import DevError

SLOW = ReadTimeoutError(endpoint_url="https://s3")


class Store:
    def __init__(self, *failures):
        self.failures = list(failures)
        self.objects = {}

    def _fail(self):
        if self.failures:
            raise self.failures.pop(0)

    def put_object(self, **request):
        self._fail()
        self.objects[request["Bucket"], request["Key"]] = request["Body"]

    def get_object(self, **request):
        self._fail()
        return {"Body": io.BytesIO(self.objects[request["Bucket"], request["Key"]])}


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    taken = []
    monkeypatch.setattr(bucket.time, "sleep", taken.append)
    return taken


def test_an_object_is_written_and_read_although_the_store_is_slow(pauses):
    store = Store(SLOW, SLOW)
    bucket.put(store, "a/b", b"data")
    assert store.objects == {("tunewright", "a/b"): b"data"}
    assert bucket.read(store, "a/b") == b"data"
    assert len(pauses) == 2


def test_a_store_that_never_answers_is_an_error_with_a_remedy():
    with pytest.raises(DevError, match=r"did not answer for s3://tunewright/a: .*`kubectl -n object-store get pods`"):
        bucket.read(Store(*[SLOW] * 100), "a")


def test_a_refusal_is_final(pauses):
    refusal = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
    with pytest.raises(DevError, match="rejected the request for s3://tunewright/a"):
        bucket.put(Store(refusal), "a", b"")
    assert pauses == []
