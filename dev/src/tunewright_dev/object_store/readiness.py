"""Wait until the object store serves its buckets."""

from __future__ import annotations

from mypy_boto3_s3 import S3Client

from tunewright_dev import waiting
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store import buckets
from tunewright_dev.object_store.deployment import NAME
from tunewright_dev.object_store.endpoint import BUCKET, LOG_BUCKET, NAMESPACE

_READY_SECONDS = 90


def wait_available(kubectl: Kubectl) -> None:
    """Wait until the store's pod is ready.

    Raises:
        DevError: it did not become ready.
    """
    kubectl.run(f"--namespace={NAMESPACE}", "rollout", "status", f"deployment/{NAME}", f"--timeout={_READY_SECONDS}s")


def ensure_buckets(client: S3Client) -> None:
    """Create the store's buckets when it answers.

    Raises:
        DevError: it did not answer in time; the message names the command that shows its log.
    """
    for bucket in (BUCKET, LOG_BUCKET):
        waiting.wait_for(
            f"the creation of the bucket {bucket}",
            lambda bucket=bucket: buckets.ensure(client, bucket),  # type: ignore[misc]
            timeout=_READY_SECONDS,
            explain=lambda: f"See `kubectl --namespace {NAMESPACE} logs deployment/{NAME}`.",
        )
