"""Reach the object store from the machine that runs this program."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunewright_dev import topology
from tunewright_dev.errors import DevError
from tunewright_dev.object_store import buckets
from tunewright_dev.object_store import deployment as object_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from tunewright_dev.kubectl import Kubectl
    from tunewright_dev.paths import Paths

_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ->")


@contextmanager
def open_store(paths: Paths, kubectl: Kubectl) -> Iterator[S3Client]:
    """Yield a client of the object store, as its administrator.

    Raises:
        DevError: the store has no administrator's credentials, or cannot be reached.
    """
    access = object_store.read_identities(kubectl).get("admin")
    if access is None:
        raise DevError(f"Secret {object_store.NAMESPACE}/admin is gone. Run `make up` again, which makes it anew.")
    with _open_address(paths, kubectl) as address:
        authority = paths.pki / "object-store-ca.crt"
        yield buckets.connect(
            f"https://{address}", access.access_key, access.secret_key, object_store.REGION, authority
        )


@contextmanager
def _open_address(paths: Paths, kubectl: Kubectl) -> Iterator[str]:
    """Yield host and port: the Service's own where this machine is the node, else those of a port-forward."""
    port = topology.OBJECT_STORE_PORT
    if not paths.existing:
        yield f"{topology.OBJECT_STORE_SERVICE}:{port}"
        return
    arguments = (f"--namespace={object_store.NAMESPACE}", f"service/{object_store.SERVICE}", f":{port}")
    process = kubectl.start("port-forward", "--address=127.0.0.1", *arguments)
    try:
        assert process.stdout is not None
        found = _FORWARDING.match(process.stdout.readline())
        if found is None:
            command = f"kubectl port-forward {' '.join(arguments)}"
            raise DevError(f"The object store could not be reached: `{command}` ended. Run it by hand to see why.")
        yield f"{object_store.LOOPBACK}:{found[1]}"
    finally:
        process.terminate()
        process.communicate()
