"""The requests and limits of a container: the spec's, and the platform's for what the spec leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from support.worlds.server_observations import make_model_server
from tunewright_operator.api.kinds import MODEL_SERVER
from tunewright_operator.api.quantities import parse_quantity
from tunewright_operator.api.resource import ResourceRequirements
from tunewright_operator.manifests import jobs, model_server, pods
from tunewright_operator.manifests.resources import DefaultRequirements, DefaultResources, build_resources

DEFAULT = DefaultRequirements(
    requests={"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "1Gi"},
    limits={"memory": "4Gi", "ephemeral-storage": "20Gi"},
)
ALL = {"limits": DEFAULT.limits, "requests": DEFAULT.requests}


@pytest.mark.parametrize(
    ("wanted", "changed"),
    [
        ({}, {}),
        # As in a pod, a request that is left out is the limit.
        (
            {"limits": {"memory": "2Gi"}},
            {
                "limits": {"memory": "2Gi", "ephemeral-storage": "20Gi"},
                "requests": {"cpu": "100m", "ephemeral-storage": "1Gi"},
            },
        ),
        ({"requests": {"cpu": 2}}, {"requests": {**DEFAULT.requests, "cpu": "2"}}),
        (
            {"requests": {"memory": "6Gi"}},
            {
                "limits": {"memory": "6Gi", "ephemeral-storage": "20Gi"},
                "requests": {**DEFAULT.requests, "memory": "6Gi"},
            },
        ),
        ({"requests": {"memory": "3Gi"}}, {"requests": {**DEFAULT.requests, "memory": "3Gi"}}),
    ],
)
def test_what_a_spec_leaves_out_has_a_default(wanted: dict[str, Any], changed: dict[str, Any]) -> None:
    built = build_resources(ResourceRequirements.model_validate(wanted), DEFAULT, accelerators=True)
    assert built == {**ALL, **changed}


@pytest.mark.parametrize("accelerators", [False, True])
def test_without_accelerators_extended_resources_are_left_out(accelerators: bool) -> None:
    wanted = ResourceRequirements(limits={"nvidia.com/gpu": 1}, requests={"example.com/fpga": 1})
    extended = {"limits": {"nvidia.com/gpu": "1"}, "requests": {"example.com/fpga": "1"}} if accelerators else {}
    assert build_resources(wanted, DefaultRequirements(), accelerators=accelerators) == extended


@pytest.mark.parametrize(
    ("default", "state", "others"),
    [
        (DefaultResources().job, jobs.PREPARE_STATE_SIZE, ()),
        (DefaultResources().train, jobs.TRAIN_STATE_SIZE, ()),
        (DefaultResources().server, model_server.STATE_SIZE, (f"{model_server.ADAPTERS_VOLUME_GIBIBYTES}Gi",)),
    ],
)
def test_a_volume_is_full_before_its_pod_is_evicted(
    default: DefaultRequirements, state: str, others: tuple[str, ...]
) -> None:
    volumes = sum(parse_quantity(size) for size in (pods.TMP_SIZE, state, *others))
    assert parse_quantity(str(default.limits["ephemeral-storage"])) == volumes + parse_quantity("2Gi")


def test_a_server_has_requests_and_limits_without_any_in_its_spec() -> None:
    server = make_model_server()
    owner = {
        "apiVersion": MODEL_SERVER.api_version,
        "kind": "ModelServer",
        "metadata": {"name": "llama", "namespace": "n", "uid": "u"},
    }
    defaults = pods.PodDefaults(operator="o", trainer="t", server="s")
    body = model_server.build_deployment(owner, server, {"data": {}}, defaults)
    (container,) = body["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == defaults.resources.server.to_wire()


@pytest.mark.parametrize("value", ["much", "1 Gi", ""])
def test_a_default_that_is_no_quantity_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match=r"memory: .* is not a quantity"):
        DefaultResources.model_validate({"job": {"limits": {"memory": value}}})
