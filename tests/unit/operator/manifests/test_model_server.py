"""The objects of a ModelServer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright_contracts.locations import BaseModelSource
from tunewright_contracts.server_config import MAX_ADAPTERS_BYTES, ServerConfig
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.manifests import model_server, pods
from tunewright_server import launch
from tunewright_server.settings import Settings

OWNER = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "ModelServer",
    "metadata": {"name": "pool", "namespace": "serving", "uid": "u", "generation": 1},
    "spec": {"baseModelRef": {"name": "tiny"}, "storage": {"secretRef": {"name": "s3"}}},
}
SERVER = ModelServer.from_body(OWNER)
CONFIG = ServerConfig(
    server_uid="u",
    namespace="serving",
    name="pool",
    base_model=BaseModelSource(name="tiny", digest="sha256:" + "b" * 64, context_length=64),
    served_base_name="tiny",
    max_rank=16,
    max_adapters=8,
    rollout_slots=4,
    max_active_adapters=8,
    max_model_length=64,
)


@pytest.mark.parametrize("cpu", [True, False])
def test_requests_in_flight_have_nearly_the_whole_grace_period(cpu: bool) -> None:
    """The grace period includes the preStop hook; vLLM's limit must end shortly before it."""
    defaults = pods.PodDefaults(operator="o", trainer="t", server="s")
    config_map = model_server.build_config_map(OWNER, CONFIG, "key")
    deployment = model_server.build_deployment(OWNER, SERVER, config_map, defaults)
    pod = deployment["spec"]["template"]["spec"]
    leave = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    command = launch.build_command(CONFIG, Path("/base-model"), "0.0.0.0", 8000, cpu=cpu)
    finish = int(command[command.index("--shutdown-timeout") + 1])
    left = pod["terminationGracePeriodSeconds"] - leave - finish
    assert 5 <= left <= 15


def test_no_replica_uses_the_metadata_service_or_imports_from_its_working_directory() -> None:
    defaults = pods.PodDefaults(operator="o", trainer="t", server="s")
    config_map = model_server.build_config_map(OWNER, CONFIG, "key")
    deployment = model_server.build_deployment(OWNER, SERVER, config_map, defaults)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert environment["PYTHONSAFEPATH"] == "1"


def test_adapters_have_a_volume_with_a_limit_that_the_pod_never_reaches() -> None:
    defaults = pods.PodDefaults(operator="o", trainer="t", server="s")
    config_map = model_server.build_config_map(OWNER, CONFIG, "key")
    pod = model_server.build_deployment(OWNER, SERVER, config_map, defaults)["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "adapters"]
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "adapters"]
    assert mount["mountPath"] == str(Settings.from_environment({}).adapters_folder)
    limit = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30
    assert limit * 95 >= MAX_ADAPTERS_BYTES * 100
    assert all(volume["emptyDir"].get("sizeLimit") for volume in pod["volumes"] if "emptyDir" in volume)
