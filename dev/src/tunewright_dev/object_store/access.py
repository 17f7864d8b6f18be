"""Reach the object store from the machine that runs this program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mypy_boto3_s3 import S3Client

from tunewright_dev import topology
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store import buckets
from tunewright_dev.object_store.endpoint import LOOPBACK, NAMESPACE, REGION, SERVICE
from tunewright_dev.object_store.identities import read_identities
from tunewright_dev.paths import Paths

_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ->")


def connect(paths: Paths, kubectl: Kubectl, address: str) -> S3Client:
    """Return a client of the object store at `address` (``host:port``), as its administrator.

    Raises:
        DevError: the cluster has no Secret with the administrator's credentials.
    """
    access = read_identities(kubectl).get("admin")
    if access is None:
        raise DevError(f"The Secret {NAMESPACE}/admin does not exist. Run `make up` again, which creates it.")
    authority = paths.pki / "object-store-ca.crt"
    return buckets.connect(f"https://{address}", access.access_key, access.secret_key, REGION, authority)


def service_address() -> str:
    """Return host and port of the Service, which can be reached only from the machine that is the node."""
    return f"{topology.OBJECT_STORE_SERVICE}:{topology.OBJECT_STORE_PORT}"


@contextmanager
def forward_port(kubectl: Kubectl) -> Iterator[str]:
    """Yield host and port of a port-forward to the Service, in any cluster.

    Raises:
        DevError: the store cannot be reached.
    """
    arguments = (f"--namespace={NAMESPACE}", f"service/{SERVICE}", f":{topology.OBJECT_STORE_PORT}")
    process = kubectl.start("port-forward", "--address=127.0.0.1", *arguments)
    try:
        assert process.stdout is not None
        found = _FORWARDING.match(process.stdout.readline())
        if found is None:
            command = f"kubectl port-forward {' '.join(arguments)}"
            raise DevError(f"The object store could not be reached: `{command}` ended. Run it manually to see why.")
        yield f"{LOOPBACK}:{found[1]}"
    finally:
        process.terminate()
        process.communicate()
