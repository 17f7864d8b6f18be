"""The world of the benchmark fits the CRDs and the rules of the operator."""

from __future__ import annotations

import jsonschema_rs
import pytest

from scale_bench import objects
from scale_bench.options import Options
from support.crds.schema import read_crds, root_schema
from support.crds.status import check_status, find_pruned
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, FINE_TUNE_JOB
from tunewright_operator.domain.references import check_secret
from tunewright_operator.domain.secrets import UseFacts

OPTIONS = Options(jobs=40, deployments=30, servers=4, training=6, rollouts=5)
JOB = {"metadata": {"uid": "u", "creationTimestamp": objects.LONG_AGO}}


@pytest.mark.parametrize(
    "body",
    [
        objects.build_base_model(),
        objects.build_job("job", "team"),
        objects.build_server("pool", OPTIONS),
        objects.build_deployment(objects.place(0, OPTIONS)),
    ],
    ids=lambda body: body["kind"],
)
def test_each_resource_fits_its_crd(body):
    schema = root_schema(read_crds()[body["kind"]])["properties"]["spec"]
    jsonschema_rs.validator_for(schema).validate(body["spec"])
    assert not find_pruned(schema, body["spec"], "spec")


def test_the_statuses_of_earlier_times_fit_their_crds():
    check_status(FINE_TUNE_JOB, objects.build_ended_status("job", "team"))
    for number in (0, OPTIONS.deployments - 1):
        check_status(ADAPTER_DEPLOYMENT, objects.build_deployment_status(objects.place(number, OPTIONS), JOB))


def test_the_secret_may_be_used():
    metadata = objects.build_secret("team")["metadata"]
    facts = UseFacts(exists=True, allowed=metadata["labels"]["tunewright.dev/use"] == "allowed")
    assert check_secret(metadata["name"], metadata["namespace"], facts) is None


def test_each_deployment_names_a_job_with_an_adapter_in_its_namespace():
    ended = {(objects.tenant(OPTIONS, number), objects.job_name(number)) for number in range(OPTIONS.ended)}
    placements = [objects.place(number, OPTIONS) for number in range(OPTIONS.deployments)]
    assert {(each.namespace, each.job) for each in placements} <= ended
    assert len({each.name for each in placements}) == OPTIONS.deployments
    servers = [each.server for each in placements]
    assert max(map(servers.count, servers)) - min(map(servers.count, servers)) <= 1


def test_only_a_rollout_has_another_stable_revision_than_its_job():
    for number in range(OPTIONS.deployments):
        placement = objects.place(number, OPTIONS)
        body = objects.build_deployment(placement)
        body["metadata"] |= {"uid": "d", "creationTimestamp": objects.LONG_AGO}
        body["status"] = objects.build_deployment_status(placement, JOB)
        stable = AdapterDeployment.from_body(body).status.stable
        adapter = objects.build_adapter(placement.job, placement.namespace)
        assert (stable.digest != adapter["digest"]) == placement.rolls_out == (number < OPTIONS.rollouts)


def test_a_server_has_room_for_its_aliases_and_rollouts():
    crowded = Options(deployments=1_000, servers=10, rollouts=100)
    lora = objects.build_server("pool", crowded)["spec"]["lora"]
    assert lora["maxAdapters"] >= 100
    assert lora["rolloutSlots"] >= 10
