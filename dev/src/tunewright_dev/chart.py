"""Install Tunewright on the cluster with Helm, and put the demo's models into the bucket."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tunewright_dev import commands, console, pod_security, tenants
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store import endpoint as object_store
from tunewright_dev.paths import Paths

RELEASE = "tunewright"
NAMESPACE = "tunewright-system"
READ_SECRET = "s3-read"
MODELS = ("smollm2", "tiny")
_SCOPE = f"--namespace={object_store.NAMESPACE}"
_HELM_SECONDS = 300
_UPLOAD_SECONDS = 300
# `kubectl wait` waits for one condition; this is how often the other one is checked.
_LOOK_SECONDS = 2


def install(paths: Paths, kubectl: Kubectl, helm: Path) -> None:
    """Install or upgrade the chart with this clone's images, and upload the models that are not in the bucket.

    Raises:
        DevError: the images were not built, or Helm or the upload failed.
    """
    images = read_images(paths)
    tenants.ensure_namespace(kubectl, NAMESPACE)
    tenants.ensure_storage_secret(kubectl, NAMESPACE, READ_SECRET, "server")
    with console.step("installing the chart", f"helm -n {NAMESPACE} status {RELEASE}"):
        values = build_values(images)
        argv: list[str | Path] = [helm, "upgrade", "--install", RELEASE, paths.clone / "charts" / "tunewright"]
        argv += ["--namespace", NAMESPACE, "--values", "-", "--wait", f"--timeout={_HELM_SECONDS}s"]
        commands.capture(argv, stdin=json.dumps(values), env={"KUBECONFIG": str(kubectl.kubeconfig)})
    upload_models(kubectl, images["demo-models"])


def read_images(paths: Paths) -> dict[str, str]:
    """Return the images that `make images` built, by name.

    Raises:
        DevError: there are no images of this clone.
    """
    table = paths.build / "images.json"
    if not table.is_file():
        raise DevError(f"{table} does not exist. Run `make images`, which builds the images and writes it.")
    images: dict[str, str] = json.loads(table.read_text())
    return images


def build_values(images: dict[str, str]) -> dict[str, Any]:
    """Return the chart's values for image references ``<registry>/<name>:<tag>``."""
    values: dict[str, Any] = {}
    for name in ("operator", "trainer", "server"):
        repository, _, tag = images[name].rpartition(":")
        registry, _, repository_name = repository.rpartition("/")
        values["registry"] = registry
        values[name] = {"name": repository_name, "tag": tag}
    return {"images": values}


def upload_models(kubectl: Kubectl, image: str) -> None:
    """Upload the models with a Job; a completed Job for this image is not repeated, a failed one is.

    Raises:
        DevError: the Job failed; the message names its log and shows the end.
    """
    name = f"upload-models-{image.rpartition(':')[2][:8]}"
    job = kubectl.get("job", name, object_store.NAMESPACE)
    if job is not None and has_failed(job):
        kubectl.run(_SCOPE, "delete", f"job/{name}", "--wait")
        job = None
    if job is None:
        kubectl.apply([build_upload_job(name, image)])
    with console.step("uploading the models to the bucket", f"kubectl -n {object_store.NAMESPACE} logs job/{name}"):
        _wait_uploaded(kubectl, name)


def _wait_uploaded(kubectl: Kubectl, name: str) -> None:
    deadline = time.monotonic() + _UPLOAD_SECONDS
    while True:
        try:
            kubectl.run(_SCOPE, "wait", f"job/{name}", "--for=condition=Complete", f"--timeout={_LOOK_SECONDS}s")
        except DevError as error:
            job = kubectl.get("job", name, object_store.NAMESPACE)
            if job is not None and not has_failed(job) and time.monotonic() < deadline:
                continue
            raise DevError(f"The models could not be uploaded: {error}\n{_read_log(kubectl, name)}") from error
        return


def _read_log(kubectl: Kubectl, name: str) -> str:
    command = f"kubectl -n {object_store.NAMESPACE} logs job/{name}"
    try:
        log = kubectl.run(_SCOPE, "logs", f"job/{name}", f"--tail={commands.TAIL_LINES}")
    except DevError:
        return f"Its log (`{command}`) cannot be read; `kubectl -n {object_store.NAMESPACE} get events` may show why."
    return f"Its log (`{command}`) ends with:\n{commands.tail(log)}"


def has_failed(job: dict[str, Any]) -> bool:
    """Return whether a Job has used all its attempts, so that it does not change any more."""
    conditions = job.get("status", {}).get("conditions", [])
    return any(one["type"] == "Failed" and one["status"] == "True" for one in conditions)


def build_upload_job(name: str, image: str) -> dict[str, Any]:
    """Return the Job that uploads /models of its image to ``s3://<bucket>/models``."""
    container = {
        "name": "upload",
        "image": image,
        "command": ["python", "-m", "tunewright_storage", "upload", "/models", f"s3://{object_store.BUCKET}/models"],
        "env": [{"name": "TUNEWRIGHT_CA_BUNDLE", "value": "/ca/ca.crt"}],
        "envFrom": [{"secretRef": {"name": "trainer"}}],
        "securityContext": pod_security.build_restricted_context(),
        "volumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [
            {"name": "ca", "secret": {"secretName": "trainer", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": object_store.NAMESPACE},
        # The annotation is for `kubectl logs`: a service mesh may add containers.
        "spec": {
            "backoffLimit": 2,
            "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": container["name"]}},
                "spec": pod,
            },
        },
    }
