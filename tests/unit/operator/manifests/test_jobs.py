"""Job manifests: the demands of `restricted`, the credentials of a pod, and the differences between the phases."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_contracts.inspection import BaseModelInspection
from tunewright_operator.api.containers import JOB_CONTAINERS
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import FINE_TUNE_JOB
from tunewright_operator.api.labels import Role, controller_uid
from tunewright_operator.manifests.jobs import (
    build_inspect_job,
    build_prepare_job,
    build_request_config_map,
    build_train_job,
    fine_tune_identity,
)
from tunewright_operator.manifests.pods import PodDefaults

DEFAULTS = PodDefaults(operator="o:1", trainer="t:1", server="s:1", pull_policy="Always", pull_secrets=("regcred",))
OWNER: dict[str, Any] = {
    "apiVersion": FINE_TUNE_JOB.api_version,
    "kind": FINE_TUNE_JOB.name,
    "metadata": {"name": "tickets", "namespace": "support", "uid": "u"},
    "spec": {
        "baseModelRef": {"name": "smol"},
        "storage": {"secretRef": {"name": "s3"}},
        "dataset": {
            "sources": [{"name": "a", "configMap": {"name": "records"}}, {"name": "b", "s3": {"uri": "s3://bucket/x"}}]
        },
        "output": {"uri": "s3://bucket/out"},
        "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}, "requests": {"cpu": 2}},
        "scheduling": {
            "nodeSelector": {"gpu": "yes"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "batch",
            "runtimeClassName": "nvidia",
        },
    },
}
JOB = FineTuneJob.from_body(OWNER)
IDENTITY = fine_tune_identity(OWNER, "tickets-train-1", Role.TRAIN)
BODIES = {
    "prepare": build_prepare_job(IDENTITY, JOB, DEFAULTS),
    "train": build_train_job(IDENTITY, JOB, DEFAULTS),
    "inspect": build_inspect_job(IDENTITY, "inspect-base-model", JOB.spec.storage, DEFAULTS),
}


@pytest.fixture(params=sorted(BODIES))
def pod(request: pytest.FixtureRequest) -> dict[str, Any]:
    return BODIES[request.param]["spec"]["template"]["spec"]


@pytest.mark.parametrize(("name", "body"), BODIES.items())
def test_kubectl_reads_the_log_of_our_container_whatever_others_are_added(name: str, body: dict[str, Any]):
    template = body["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["name"] in JOB_CONTAINERS
    assert template["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": container["name"]}


def test_pods_are_restricted(pod: dict[str, Any]):
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_no_pod_uses_the_metadata_service_or_imports_from_its_working_directory(pod: dict[str, Any]):
    for container in pod["containers"]:
        environment = {item["name"]: item.get("value") for item in container["env"]}
        assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
        assert environment["PYTHONSAFEPATH"] == "1"


def test_every_scratch_volume_has_a_limit(pod: dict[str, Any]):
    scratch = [volume for volume in pod["volumes"] if "emptyDir" in volume]
    assert scratch
    assert all(volume["emptyDir"].get("sizeLimit") for volume in scratch)


def test_each_credential_is_one_key_of_the_secret(pod: dict[str, Any]):
    (container,) = pod["containers"]
    assert "envFrom" not in container
    keys = {
        item["valueFrom"]["secretKeyRef"]["key"]
        for item in container["env"]
        if "secretKeyRef" in item.get("valueFrom", {})
    }
    assert keys == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL_S3",
        "HF_TOKEN",
        "HF_ENDPOINT",
    }
    (secret,) = [volume for volume in pod["volumes"] if volume["name"] == "ca"]
    assert secret["projected"]["sources"][0]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_every_mount_has_a_volume_and_the_reverse(pod: dict[str, Any]):
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert container["imagePullPolicy"] == "Always"
    assert pod["imagePullSecrets"] == [{"name": "regcred"}]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("name", sorted(BODIES))
def test_kubernetes_does_not_start_a_second_pod(name: str):
    body = BODIES[name]
    assert body["spec"]["backoffLimit"] == 0
    assert body["spec"]["podReplacementPolicy"] == "Failed"
    assert body["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert controller_uid(body) == "u"
    assert body["metadata"]["labels"] == body["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("name", sorted(BODIES))
def test_sigterm_reaches_a_program_that_has_no_handler_yet(name: str):
    """The kernel drops it for the first process of a PID namespace only."""
    assert BODIES[name]["spec"]["template"]["spec"]["shareProcessNamespace"] is True


def test_training_gets_the_accelerator_and_its_node():
    pod = BODIES["train"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {
        "limits": {"nvidia.com/gpu": "1", "memory": "8Gi", "ephemeral-storage": "210Gi"},
        "requests": {"cpu": "2", "ephemeral-storage": "1Gi"},
    }
    assert pod["nodeSelector"] == {"gpu": "yes"}
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "value": "", "effect": "NoSchedule"}]
    assert pod["terminationGracePeriodSeconds"] == 120
    assert "/dev/shm" in {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert "suspend" not in BODIES["train"]["spec"]


def test_preparing_gets_neither_an_accelerator_nor_a_node_but_the_config_maps():
    pod = BODIES["prepare"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {
        "limits": {"memory": "8Gi", "ephemeral-storage": "60Gi"},
        "requests": {"cpu": "2", "ephemeral-storage": "1Gi"},
    }
    assert not {"nodeSelector", "runtimeClassName"} & pod.keys()
    assert pod["priorityClassName"] == "batch"
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["/etc/tunewright/sources/a"] == "source-0"
    assert "/etc/tunewright/sources/b" not in mounts


def test_the_request_is_immutable_and_mounted():
    body = build_request_config_map(IDENTITY, BaseModelInspection(name="smol"))
    assert body["immutable"] is True
    assert list(body["data"]) == ["run.json"]
    mount = next(
        item
        for item in BODIES["train"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        if item["name"] == "request"
    )
    assert mount["mountPath"] == "/etc/tunewright/run.json"
    assert mount["subPath"] == "run.json"


def test_without_a_secret_there_are_no_credentials():
    pod = build_inspect_job(IDENTITY, "inspect-base-model", None, DEFAULTS)["spec"]["template"]["spec"]
    assert "secretKeyRef" not in str(pod)
    assert "projected" not in str(pod)
