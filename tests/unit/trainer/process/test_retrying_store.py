"""Every method of a store is repeated while the store is unreachable."""

import inspect
from pathlib import Path

import pytest

from support.training import Time
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store
from tunewright_trainer.process.patience import Patience
from tunewright_trainer.process.retrying_store import RetryingStore

URI = StorageURI.parse("s3://bucket/a")


def test_every_call_of_a_store_goes_through(store, tmp_path):
    time = Time()
    patient = RetryingStore(store, Patience(0, time.wait, time.clock))
    patient.check_writable(StorageURI.parse("s3://bucket/x"))
    assert patient.write(URI, b"1", if_absent=True)
    assert not patient.write(URI, b"2", if_absent=True)
    assert patient.exists(URI)
    patient.download(URI, tmp_path / "a")
    assert patient.upload(tmp_path / "a", URI.join("b")) == patient.download(URI.join("b"), tmp_path / "b")
    assert [str(item.uri) for item in patient.list(URI)] == ["s3://bucket/a", "s3://bucket/a/b"]
    assert patient.delete_prefix(URI) == 2


METHODS = sorted(name for name, value in vars(Store).items() if inspect.isfunction(value) and not name.startswith("_"))
ARGUMENTS = {
    "prefix": URI,
    "uri": URI,
    "path": Path("weights"),
    "data": b"data",
    "max_bytes": 5,
    "if_absent": True,
}
"""A value for each parameter of `Store`'s methods."""


class UnreachableOnce:
    """Any method: records its arguments, fails once, then answers with a list, which can also be iterated."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            if len(self.calls) == 1:
                raise StorageError(StorageReason.UNREACHABLE, "away")
            return ["answer"]

        return call


def test_the_protocol_has_methods():
    assert {"list", "read", "upload", "check_writable"} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_the_protocol_is_retried_with_the_same_arguments(name):
    time, inner = Time(), UnreachableOnce()
    method = getattr(RetryingStore(inner, Patience(600, time.wait, time.clock)), name)
    signature = inspect.signature(method)
    bound = signature.bind(**{parameter: ARGUMENTS[parameter] for parameter in signature.parameters})
    answer = method(*bound.args, **bound.kwargs)
    assert time.waits == [1]
    assert inner.calls == [(name, bound.args, bound.kwargs)] * 2
    if name == "list":
        assert list(answer) == ["answer"]
    elif name != "check_writable":  # this method returns nothing
        assert answer == ["answer"]


def test_an_interrupted_listing_starts_again():
    time = Time()
    pages = [["a"], ["a", "b"]]

    class BreakingStore:
        def list(self, _prefix):
            page = pages.pop(0)
            yield from page
            if pages:
                raise StorageError(StorageReason.UNREACHABLE, "away")

    assert list(RetryingStore(BreakingStore(), Patience(600, time.wait, time.clock)).list(URI)) == ["a", "b"]
    assert time.waits == [1]


def test_a_store_that_lacks_a_method_cannot_be_created():
    assert Store.__abstractmethods__ == set(METHODS)
    forgetful = type("Forgetful", (Store,), {name: getattr(RetryingStore, name) for name in METHODS[1:]})
    with pytest.raises(TypeError, match=METHODS[0]):
        forgetful()
