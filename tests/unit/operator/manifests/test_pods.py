"""The parts of every pod: security, environment, volumes and resources."""

from __future__ import annotations

import pytest

from tunewright_contracts.locations import STORAGE_SECRET_KEYS
from tunewright_operator.api.resource import NameReference, Storage
from tunewright_operator.manifests import pods

DEFAULTS = pods.PodDefaults(operator="o:1", trainer="t:1", server="s:1")
S3 = Storage(secret_ref=NameReference(name="s3"))


def test_a_pod_has_no_token_and_no_service_links() -> None:
    base = pods.build_pod_base(DEFAULTS, S3)
    assert base["automountServiceAccountToken"] is False
    assert base["enableServiceLinks"] is False
    assert base["securityContext"]["runAsNonRoot"] is True
    assert base["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"imagePullSecrets", "serviceAccountName"} & base.keys()


def test_a_pod_runs_as_the_service_account_of_its_storage_without_a_token_for_the_api_server() -> None:
    base = pods.build_pod_base(DEFAULTS, Storage(service_account_name="bucket"))
    assert base["serviceAccountName"] == "bucket"
    assert base["automountServiceAccountToken"] is False


def test_with_a_service_account_no_key_says_who_the_pod_is() -> None:
    storage = Storage(service_account_name="bucket")
    assert pods.build_credential_env(storage) == []
    assert pods.build_ca_volume(storage) == ([], [])
    names = {item["name"] for item in pods.build_credential_env(S3.updated(service_account_name="bucket"))}
    assert names == {"AWS_REGION", "AWS_ENDPOINT_URL_S3", "HF_TOKEN", "HF_ENDPOINT"}


def test_pull_secrets_are_named() -> None:
    defaults = pods.PodDefaults(operator="o", trainer="t", server="s", pull_secrets=("a", "b"))
    assert pods.build_pod_base(defaults, None)["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_a_jobs_pod_ends_at_once_and_does_not_restart() -> None:
    base = pods.build_job_pod_base(DEFAULTS, S3, 30)
    assert base.items() >= pods.build_pod_base(DEFAULTS, S3).items()
    assert (base["restartPolicy"], base["terminationGracePeriodSeconds"]) == ("Never", 30)
    assert base["shareProcessNamespace"] is True


def test_a_pod_knows_its_name_and_writes_only_to_its_own_folders() -> None:
    variables = {item["name"]: item for item in pods.build_common_env()}
    fields = {
        name: item["valueFrom"]["fieldRef"]["fieldPath"] for name, item in variables.items() if "valueFrom" in item
    }
    assert fields == {"POD_UID": "metadata.uid", "POD_NAME": "metadata.name"}
    assert variables["HOME"]["value"] == variables["TMPDIR"]["value"] == "/tmp"
    assert variables["AWS_EC2_METADATA_DISABLED"]["value"] == "true", "or a pod without credentials acts as its node"


def test_kubectl_chooses_the_container_of_a_jobs_pod() -> None:
    metadata = pods.build_job_pod_metadata({"a": "b"}, {"containers": [{"name": "train"}]})
    assert metadata == {"labels": {"a": "b"}, "annotations": {"kubectl.kubernetes.io/default-container": "train"}}


def test_only_listed_keys_of_a_secret_become_variables() -> None:
    variables = pods.build_credential_env(S3)
    assert {item["name"] for item in variables} == set(STORAGE_SECRET_KEYS)
    for item in variables:
        reference = item["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "s3", "key": item["name"], "optional": True}
    assert pods.build_credential_env(None) == []


def test_the_certificate_of_a_secret_is_mounted_where_programs_read_it() -> None:
    volumes, mounts = pods.build_ca_volume(S3)
    (source,) = volumes[0]["projected"]["sources"]
    assert source["secret"]["name"] == "s3"
    assert source["secret"]["optional"] is True
    assert mounts == [{"name": volumes[0]["name"], "mountPath": "/etc/tunewright/ca", "readOnly": True}]
    assert source["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert pods.build_ca_volume(None) == ([], [])


@pytest.mark.parametrize("shared_memory", [False, True])
def test_writable_folders_have_a_limit(shared_memory: bool) -> None:
    volumes, mounts = pods.build_scratch_volumes("20Gi", shared_memory=shared_memory)
    assert [volume["name"] for volume in volumes] == [mount["name"] for mount in mounts]
    limits = {
        mount["mountPath"]: volume["emptyDir"]["sizeLimit"] for volume, mount in zip(volumes, mounts, strict=True)
    }
    assert limits.pop("/tmp") == pods.TMP_SIZE
    assert limits.pop("/var/lib/tunewright") == "20Gi"
    assert limits == ({"/dev/shm": pods.SHARED_MEMORY_SIZE} if shared_memory else {})
    media = [volume["emptyDir"].get("medium") for volume in volumes]
    assert media == [None, None, *(["Memory"] if shared_memory else [])]


def test_a_request_is_mounted_as_a_file() -> None:
    volumes, mounts = pods.build_request_volume("tickets-train-1")
    assert volumes == [{"name": "request", "configMap": {"name": "tickets-train-1"}}]
    (mount,) = mounts
    assert (mount["mountPath"], mount["subPath"]) == ("/etc/tunewright/run.json", "run.json")
