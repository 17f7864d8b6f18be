"""What a deployment wants of its server's plan."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_deployment_body
from tunewright_contracts.serving_plan import (
    LATENCY_BOUNDS_MILLISECONDS,
    OutputContract,
    PodState,
    RevisionCounters,
    Route,
    ServingPlan,
    StickyKey,
)
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.serving.claim import PlannedRevision, build_tenant, keep_tenant, rollout_salt

TIME = "2026-01-01T00:00:00Z"


def revision(word: str, **changes: Any) -> dict[str, Any]:
    return {
        "revision": f"support--{word}",
        "digest": digest_of(word),
        "uri": f"s3://models/team/{word}",
        "rank": 16,
        "baseModelDigest": BASE_DIGEST,
        **changes,
    }


STABLE, CANDIDATE = revision("one", since=TIME), revision("two", acceptedAt=TIME, weight=20)


def make_deployment(status: dict[str, Any] | None = None, **spec: Any) -> AdapterDeployment:
    body = make_deployment_body(Clock())
    body["spec"] |= spec
    body["status"] = status or {}
    return AdapterDeployment.from_body(body)


def plan(*routes: Route) -> ServingPlan:
    return ServingPlan(server_uid="s", generation=1, base_model_digest=BASE_DIGEST, routes=routes)


def test_a_deployment_without_an_adapter_claims_its_alias() -> None:
    tenant = build_tenant(make_deployment(), namespace_allowed=True, previous=None, states=[])
    assert (tenant.claim.uid, tenant.claim.namespace, tenant.claim.alias) == ("deployment-uid", "team", "support")
    assert tenant.claim.created_at == make_deployment().metadata.creation_timestamp
    assert (tenant.stable, tenant.candidate, tenant.salt, tenant.count_by_key_bucket) == (None, None, "", False)
    assert tenant.namespace_allowed
    assert not build_tenant(make_deployment(), namespace_allowed=False, previous=None, states=[]).namespace_allowed


def test_a_rollout_wants_both_revisions_and_counts_by_bucket() -> None:
    contract = {"jsonSchema": {"type": "object"}, "maxTokens": 64}
    rollout = {"steps": [{"setWeight": 20}], "stickyBy": [{"header": "x-user"}, {"bodyField": "user"}]}
    deployment = make_deployment({"stable": STABLE, "candidate": CANDIDATE}, outputContract=contract, rollout=rollout)
    tenant = build_tenant(deployment, namespace_allowed=True, previous=None, states=[])
    assert tenant.stable == PlannedRevision(
        "support--one", digest_of("one"), "s3://models/team/one", 16, BASE_DIGEST, 80
    )
    assert tenant.candidate == PlannedRevision(
        "support--two", digest_of("two"), "s3://models/team/two", 16, BASE_DIGEST, 20
    )
    assert tenant.sticky_by == (StickyKey(header="x-user"), StickyKey(body_field="user"))
    assert tenant.output_contract == OutputContract(json_schema={"type": "object"}, max_tokens=64)
    assert tenant.count_by_key_bucket
    assert tenant.salt == rollout_salt(deployment)


def test_each_rollout_has_another_salt_that_stays_the_same() -> None:
    first = rollout_salt(make_deployment({"candidate": CANDIDATE}))
    assert len(first) == 16
    assert rollout_salt(make_deployment({"stable": STABLE, "candidate": {**CANDIDATE, "weight": 50}})) == first
    later = {**CANDIDATE, "acceptedAt": "2026-01-02T00:00:00Z"}
    assert rollout_salt(make_deployment({"candidate": later})) != first
    assert rollout_salt(make_deployment({"candidate": {**CANDIDATE, "digest": digest_of("three")}})) != first
    assert rollout_salt(make_deployment({"stable": STABLE})) == ""


LATENCY = {"metrics": [{"type": "Latency", "maxRatio": "2"}]}
HISTOGRAM = (0,) * 10 + (60,) + (0,) * (len(LATENCY_BOUNDS_MILLISECONDS) - 10)
ANSWERED = PodState(
    pod_uid="p",
    boot_id="b",
    counters=(RevisionCounters(alias="support", revision="support--one", latency_milliseconds=HISTOGRAM),),
)
LIMIT = 2 * LATENCY_BOUNDS_MILLISECONDS[10]
SALT = rollout_salt(make_deployment({"candidate": CANDIDATE}))


@pytest.mark.parametrize(
    ("status", "analysis", "route", "limit"),
    [
        ({"stable": STABLE, "candidate": CANDIDATE}, LATENCY, {}, LIMIT),
        ({"stable": STABLE, "candidate": CANDIDATE}, {"metrics": [{"type": "ErrorRate", "minimum": "0.9"}]}, {}, None),
        ({"stable": STABLE}, LATENCY, {}, None),
        ({"candidate": CANDIDATE}, LATENCY, {}, None),
        ({"stable": STABLE, "candidate": CANDIDATE}, LATENCY, {"salt": SALT, "slow_after_milliseconds": 7}, 7),
        ({"stable": STABLE, "candidate": CANDIDATE}, LATENCY, {"salt": "old", "slow_after_milliseconds": 7}, LIMIT),
        ({"stable": STABLE, "candidate": CANDIDATE}, LATENCY, {"salt": SALT}, LIMIT),
    ],
    ids=[
        "from the incumbent's answers",
        "no latency metric",
        "no rollout",
        "no incumbent",
        "the limit of this rollout's first plan",
        "the last plan is of another rollout",
        "the last plan has no limit yet",
    ],
)
def test_the_latency_limit_of_a_rollout_is_fixed_once(
    status: dict[str, Any], analysis: dict[str, Any], route: dict[str, Any], limit: int | None
) -> None:
    deployment = make_deployment(status, analysis=analysis)
    previous = plan(Route(alias="support", namespace="team", **route))
    tenant = build_tenant(deployment, namespace_allowed=True, previous=previous, states=[ANSWERED])
    assert tenant.slow_after_milliseconds == limit


def test_an_unreadable_deployment_keeps_the_alias_of_its_last_route() -> None:
    metadata = Metadata(name="support", namespace="team", uid="uid", creation_timestamp=TIME)
    route = Route(alias="support", namespace="team", owner_uid="uid")
    other = Route(alias="billing", namespace="team", owner_uid="another")
    tenant = keep_tenant(metadata, plan(other, route), namespace_allowed=True)
    assert tenant is not None
    assert (tenant.claim.uid, tenant.claim.alias, tenant.claim.created_at) == ("uid", "support", TIME)
    assert tenant.kept_route is route
    assert (tenant.stable, tenant.candidate) == (None, None)
    assert keep_tenant(metadata, plan(other), namespace_allowed=True) is None
    assert keep_tenant(metadata, None, namespace_allowed=True) is None


@pytest.mark.parametrize(("status", "tokens"), [({}, None), ({"stopTokenIDs": [2, 7]}, (2, 7))])
def test_the_tokens_that_end_answers_are_the_revisions(status: dict[str, Any], tokens: tuple[int, ...] | None) -> None:
    deployment = make_deployment({"stable": {**STABLE, **status}, "candidate": CANDIDATE})
    tenant = build_tenant(deployment, namespace_allowed=True, previous=None, states=[])
    assert tenant.stable is not None
    assert tenant.candidate is not None
    assert (tenant.stable.stop_token_ids, tenant.candidate.stop_token_ids) == (tokens, None)
