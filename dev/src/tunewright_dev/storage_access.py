"""Reach the demo's object store from the machine that runs this program."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunewright_dev import objectstore, topology
from tunewright_dev.errors import DevError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from tunewright_dev.kubectl import Kubectl
    from tunewright_dev.paths import Paths


@contextmanager
def open_store(paths: Paths, kubectl: Kubectl) -> Iterator[S3Client]:
    """Yield a client of the object store, as its administrator.

    Raises:
        DevError: the store has no administrator's credentials.
    """
    # Imported here: it takes longer than all else that most commands need.
    from tunewright_dev import buckets  # noqa: PLC0415

    access = objectstore.read_identities(kubectl).get("admin")
    if access is None:
        raise DevError(f"Secret {objectstore.NAMESPACE}/admin is gone. Run `make up` again, which makes it anew.")
    endpoint = f"https://{topology.OBJECT_STORE_SERVICE}:{topology.OBJECT_STORE_PORT}"
    authority = paths.pki / "object-store-ca.crt"
    yield buckets.connect(endpoint, access.access_key, access.secret_key, objectstore.REGION, authority)
