"""Prepare the story: tenants, data in the bucket, and no objects of an earlier run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from mypy_boto3_s3 import S3Client

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.storage_uri import StorageURI
from tunewright_dev import tenants
from tunewright_dev.demo import bucket, client_key, customers, probe
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.paths import Paths

SERVING, SUPPORT = "serving", "support"
BASE_MODEL, SERVER = "smollm2", "smollm2"
DEPLOYMENT, ALIAS = "support", "support"
PLATFORM = ("platform/base-model.yaml", "platform/model-server.yaml")
"""The example's manifests of the platform team, in the order in which they are applied."""
JOB_LABEL = "app=support-triage"
DATASETS = "datasets/support-triage"


MEASUREMENT: tuple[tuple[str, ...], ...] = (
    (f"pod/{probe.NAME}", f"configmap/{probe.NAME}"),
    (f"adapterdeployment/{probe.NAME}",),
)
"""The objects of the measurement of the pool's speed, the client first."""

# The customers first, so that no client sends requests when the alias is deleted. Servers, catalogue, data and
# published adapters stay, because they do not depend on an earlier rollout.
EARLIER: tuple[tuple[str, ...], ...] = (
    *MEASUREMENT,
    (f"pod/{customers.NAME}", f"configmap/{customers.NAME}"),
    (f"adapterdeployment/{DEPLOYMENT}",),
    ("finetunejobs", f"--selector={JOB_LABEL}"),
)
"""The objects of an earlier demo that would change the story, in the order of their deletion."""


def find_earlier(kubectl: Kubectl, objects: Sequence[str]) -> list[str]:
    """Return the existing objects of an entry of `EARLIER`."""
    return kubectl.run("get", *objects, f"--namespace={SUPPORT}", "--ignore-not-found", "-o", "name").split()


def delete_earlier(kubectl: Kubectl, objects: Sequence[str]) -> None:
    """Delete the objects of an entry of `EARLIER`, without waiting."""
    kubectl.run("delete", *objects, f"--namespace={SUPPORT}", "--ignore-not-found", "--wait=false")


def prepare_tenants(kubectl: Kubectl) -> None:
    """Create the teams' namespaces with their storage credentials, and the key of the support team's client."""
    tenants.ensure_namespace(kubectl, SERVING)
    tenants.ensure_storage_secret(kubectl, SERVING, "s3-read", "server")
    tenants.ensure_namespace(kubectl, SUPPORT, tenant=True)
    tenants.ensure_storage_secret(kubectl, SUPPORT, "s3", "trainer")
    client_key.ensure_key(kubectl, SUPPORT)


def upload_datasets(paths: Paths, store: S3Client) -> list[str]:
    """Generate the example's data and upload it to the bucket; return a line for each file.

    Raises:
        DevError: the generator or the upload failed.
    """
    example, folder = paths.clone / "examples" / "support-triage", paths.build / "support-triage"
    done = subprocess.run(
        [sys.executable, example / "generate.py", "--out", folder], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DevError(f"{example / 'generate.py'} failed:\n{done.stderr}")
    lines = []
    for path in sorted(folder.glob("*.jsonl")):
        data = path.read_bytes()
        key = f"{DATASETS}/{path.name}"
        bucket.put(store, key, data)
        lines.append(f"{bucket.format_uri(key)}: {len(data.splitlines())} records")
    return lines


def read_report(store: S3Client, uri: str) -> EvaluationReport:
    """Return an evaluation's report.

    Raises:
        DevError: it cannot be read.
    """
    return EvaluationReport.from_json(bucket.read(store, StorageURI.parse(uri).key))
