"""The serving plan as a pure function: the owner of an alias, loaded adapters, routes, and when it changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_server, revision_of
from tunewright_contracts.serving_plan import MAX_PLAN_BYTES, AdapterState, OutputContract, PodState, ServingPlan
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.aliases import AliasClaim
from tunewright_operator.domain.serving.claim import PlannedRevision, Tenant, keep_tenant
from tunewright_operator.domain.serving.plan import PodReport, build_plan, report_pod

SERVER = make_server()


def revision(word: str, weight: int = 0, alias: str = "support", **changes: Any) -> PlannedRevision:
    values = {
        "name": revision_of(word, alias),
        "digest": digest_of(word),
        "uri": f"s3://models/team/{word}",
        "rank": 16,
        "base_model_digest": BASE_DIGEST,
        "weight": weight,
    }
    return PlannedRevision(**(values | changes))


def tenant(name: str = "a", alias: str = "support", created: str = "2026-01-01T00:00:00Z", **changes: Any) -> Tenant:
    namespace = changes.pop("namespace", "team")
    return Tenant(AliasClaim(f"uid-{name}", namespace, name, created, alias), **changes)


def targets(plan: ServingPlan, alias: str = "support") -> dict[str, int]:
    route = next(route for route in plan.routes if route.alias == alias)
    return {target.name: target.weight for target in route.targets}


def names(plan: ServingPlan) -> set[str]:
    return {adapter.name for adapter in plan.adapters}


def at(plan: ServingPlan, **in_flight: int) -> PodReport:
    return PodReport(plan.generation, in_flight={revision_of(word): count for word, count in in_flight.items()})


@pytest.mark.parametrize(
    ("status", "conflict"), [("Applied", False), ("None", False), ("PlanConflict", True), ("PlanRefused", False)]
)
def test_the_report_from_a_pods_state(status, conflict):
    loaded = AdapterState(name="support--1", digest=digest_of("one"), phase="Loaded", in_flight=3)
    state = PodState(pod_uid="p", boot_id="b", plan_generation=7, plan_status=status, adapters=(loaded,))
    assert report_pod(state) == PodReport(7, in_flight={"support--1": 3}, conflict=conflict)


def test_the_first_plan_has_generation_1_and_an_equal_one_is_not_written():
    first = build_plan(SERVER, [tenant(stable=revision("one", 100))], None, [])
    assert (first.plan.generation, first.changed) == (1, True)
    again = build_plan(SERVER, [tenant(stable=revision("one", 100))], first.plan, [at(first.plan)], 1)
    assert (again.plan, again.changed) == (first.plan, False)


@pytest.mark.parametrize(
    ("status_generation", "pod_generations", "expected"),
    [(0, [], 6), (9, [], 10), (0, [7, 12], 13), (9, [12], 13), (5, [5], 6)],
)
def test_the_next_generation_is_above_all_known_ones(status_generation, pod_generations, expected):
    previous = build_plan(SERVER, [], None, []).plan.model_copy(update={"generation": 5})
    pods = [PodReport(generation) for generation in pod_generations]
    decision = build_plan(SERVER, [tenant(stable=revision("one", 100))], previous, pods, status_generation)
    assert decision.plan.generation == expected


def test_equal_content_gets_a_new_generation_when_a_pod_is_ahead_or_in_conflict():
    plan = build_plan(SERVER, [], None, []).plan
    assert build_plan(SERVER, [], plan, [PodReport(4)]).plan.generation == 5
    assert build_plan(SERVER, [], plan, [PodReport(1, conflict=True)]).plan.generation == 2
    assert not build_plan(SERVER, [], plan, [PodReport(1)]).changed


def test_an_unreadable_deployment_keeps_its_route_and_the_loaded_adapters_of_its_namespace():
    serving = tenant(stable=revision("one", 80), candidate=revision("two", 20), salt="rollout")
    before = build_plan(SERVER, [serving], None, []).plan
    kept = keep_tenant(Metadata(name="a", namespace="team", uid="uid-a"), before, namespace_allowed=True)
    other = tenant("b", "other", namespace="else", stable=revision("three", 100, "other", uri="s3://models/else/three"))
    rival = tenant("c", stable=revision("four", 100))
    after = build_plan(SERVER, [kept, other, rival], before, [at(before)])
    assert targets(after.plan) == {revision_of("one"): 80, revision_of("two"): 20}
    assert names(before) < names(after.plan)
    assert after.refusals["uid-c"].alias.reason == "AliasTaken"
    assert keep_tenant(Metadata(name="new", namespace="team", uid="uid-new"), before, namespace_allowed=True) is None


def test_an_unreadable_deployment_keeps_no_slot_of_another_deployment():
    both = [tenant(stable=revision("one", 100)), tenant("n", "other", stable=revision("two", 100, "other"))]
    before = build_plan(SERVER, both, None, []).plan
    kept = keep_tenant(Metadata(name="a", namespace="team", uid="uid-a"), before, namespace_allowed=True)
    moved = tenant("n", "other", stable=revision("three", 100, "other"))
    middle = build_plan(SERVER, [kept, moved], before, [at(before)]).plan
    after = build_plan(SERVER, [kept, moved], middle, [at(middle)]).plan
    assert names(after) == {revision_of("one"), revision_of("three", "other")}


def test_an_unreadable_deployment_still_needs_the_servers_permission():
    before = build_plan(SERVER, [tenant(stable=revision("one", 100))], None, []).plan
    metadata = Metadata(name="a", namespace="team", uid="uid-a")
    kept = keep_tenant(metadata, before, namespace_allowed=True)
    narrowed = make_server(sources=SourcePolicy("serving", ("s3://models/elsewhere/",)))
    decision = build_plan(narrowed, [kept], before, [at(before)])
    assert targets(decision.plan) == {}
    assert names(build_plan(narrowed, [kept], decision.plan, [at(decision.plan)]).plan) == set()
    excluded = keep_tenant(metadata, before, namespace_allowed=False)
    decision = build_plan(SERVER, [excluded], before, [at(before)])
    assert decision.plan.routes == ()
    assert decision.refusals["uid-a"].alias.reason == "ServerNotAllowed"


def test_the_incumbent_answers_for_a_candidate_that_a_pod_has_not_loaded():
    both = build_plan(SERVER, [tenant(stable=revision("one", 80), candidate=revision("two", 20))], None, []).plan
    assert both.routes[0].fallback == revision_of("one")
    alone = build_plan(SERVER, [tenant(stable=revision("one", 0), candidate=revision("two", 100))], None, []).plan
    assert alone.routes[0].fallback == ""


def test_a_candidate_without_weight_is_loaded_and_is_no_target():
    plan = build_plan(SERVER, [tenant(stable=revision("one", 100), candidate=revision("two"))], None, []).plan
    assert names(plan) == {revision_of("one"), revision_of("two")}
    assert targets(plan) == {revision_of("one"): 100}


def test_stable_and_a_candidate_with_weight_keep_their_slots_in_a_full_server():
    full = make_server(max_adapters=1, rollout_slots=0)
    for weight in (0, 50):
        both = tenant(stable=revision("one", weight), candidate=revision("two", 100 - weight))
        decision = build_plan(full, [both], None, [])
        assert names(decision.plan) == {revision_of("one"), revision_of("two")}
        assert decision.refusals == {}


def test_the_last_slot_goes_to_a_known_alias_before_a_new_one():
    server = make_server(max_adapters=2, rollout_slots=0)
    first = tenant("b", "other", created="2025-01-01T00:00:00Z", candidate=revision("three", alias="other"))
    next_one = tenant("a", stable=revision("one", 100), candidate=revision("two"))
    decision = build_plan(server, [first, next_one], None, [])
    assert names(decision.plan) == {revision_of("one"), revision_of("two")}
    waiting = decision.refusals["uid-b"].revisions
    assert {name: refusal.reason for name, refusal in waiting.items()} == {
        revision_of("three", "other"): "WaitingForSlot"
    }


def test_an_alias_without_any_weight_keeps_an_empty_route():
    plan = build_plan(SERVER, [tenant(candidate=revision("one"))], None, []).plan
    assert targets(plan) == {}
    assert names(plan) == {revision_of("one")}


def test_a_candidate_does_not_get_the_share_of_a_refused_incumbent():
    foreign = revision("one", 90, uri="s3://models/other/one")
    plan = build_plan(SERVER, [tenant(stable=foreign, candidate=revision("two", 10))], None, []).plan
    assert targets(plan) == {}


def test_an_adapter_leaves_after_all_pods_stopped_routing_to_it_and_its_requests_ended():
    both = build_plan(SERVER, [tenant(stable=revision("one", 50), candidate=revision("two", 50))], None, []).plan
    alone = [tenant(stable=revision("one", 100))]
    unrouted = build_plan(SERVER, alone, both, [at(both), at(both)])
    assert targets(unrouted.plan) == {revision_of("one"): 100}
    assert revision_of("two") in names(unrouted.plan), "the previous plan routed to it"
    lagging = build_plan(SERVER, alone, unrouted.plan, [at(unrouted.plan), at(both)])
    assert not lagging.changed, "a pod still routes to it"
    draining = build_plan(SERVER, alone, unrouted.plan, [at(unrouted.plan, two=1), at(unrouted.plan)])
    assert not draining.changed, "a request is still in flight"
    gone = build_plan(SERVER, alone, unrouted.plan, [at(unrouted.plan, two=0), at(unrouted.plan)])
    assert names(gone.plan) == {revision_of("one")}


def test_an_unowned_alias_goes_to_the_oldest_then_namespace_then_name():
    late = tenant("a", created="2026-01-02T00:00:00Z")
    early = tenant("z", created="2026-01-01T00:00:00Z")
    decision = build_plan(SERVER, [late, early], None, [])
    assert decision.plan.routes[0].owner_uid == "uid-z"
    assert decision.refusals["uid-a"].alias.reason == "AliasTaken"
    assert decision.refusals["uid-a"].alias.message.endswith(
        "Choose another modelName, or have that AdapterDeployment deleted."
    )
    same = [tenant("b", namespace="y"), tenant("c", namespace="x"), tenant("a", namespace="y")]
    assert build_plan(SERVER, same, None, []).plan.routes[0].owner_uid == "uid-c"


def test_an_owner_keeps_its_alias_against_an_older_claim_until_it_is_deleted():
    owner = tenant("new", created="2026-01-05T00:00:00Z", stable=revision("one", 100))
    plan = build_plan(SERVER, [owner], None, []).plan
    older = tenant("old", created="2026-01-01T00:00:00Z")
    assert build_plan(SERVER, [owner, older], plan, []).plan.routes[0].owner_uid == "uid-new"
    assert build_plan(SERVER, [older], plan, []).plan.routes[0].owner_uid == "uid-old"


@pytest.mark.parametrize(
    ("claimant", "reason"),
    [
        (tenant(namespace_allowed=False), "ServerNotAllowed"),
        (tenant(alias="smollm2"), "InvalidModelName"),
        (tenant(alias="a--b"), "InvalidModelName"),
    ],
)
def test_a_claim_that_is_refused(claimant, reason):
    decision = build_plan(SERVER, [claimant], None, [])
    assert decision.refusals["uid-a"].alias.reason == reason
    assert decision.plan.routes == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uri": "s3://models/other/x"}, "SourceNotAllowed"),
        ({"uri": "s3://models/team/../other/x"}, "SourceNotAllowed"),
        ({"uri": "s3://models/team%2F..%2Fother/x"}, "SourceNotAllowed"),
        ({"uri": "s3://models/teamx/x"}, "SourceNotAllowed"),
        ({"rank": 64}, "RankTooHigh"),
        ({"base_model_digest": "sha256:" + "0" * 64}, "BaseModelMismatch"),
    ],
)
def test_a_revision_that_is_refused(changes, reason):
    bad = revision("two", **changes)
    decision = build_plan(SERVER, [tenant(stable=revision("one", 100), candidate=bad)], None, [])
    assert decision.refusals["uid-a"].revisions[bad.name].reason == reason
    assert names(decision.plan) == {revision_of("one")}
    assert targets(decision.plan) == {revision_of("one"): 100}


def test_without_sources_only_deployments_of_the_servers_namespace_are_served():
    server = dataclasses.replace(SERVER, sources=SourcePolicy("serving"))
    own = tenant("own", alias="own", namespace="serving", stable=revision("one", 100, "own", uri="s3://any/where"))
    foreign = tenant("foreign", alias="foreign", stable=revision("two", 100, "foreign"))
    decision = build_plan(server, [own, foreign], None, [])
    assert names(decision.plan) == {revision_of("one", "own")}
    assert [(source.namespace, source.uri_prefix) for source in decision.plan.adapter_sources] == [
        ("serving", "s3://any")
    ]


def test_the_plan_has_the_sources_that_the_pods_check():
    plan = build_plan(SERVER, [tenant(stable=revision("one", 100))], None, []).plan
    assert [(source.namespace, source.uri_prefix) for source in plan.adapter_sources] == [("team", "s3://models/team")]


def test_aliases_over_the_limit_are_refused_and_known_ones_stay():
    server = make_server(max_adapters=2)
    first = [tenant(name, alias=name, created=f"2026-01-0{index}T00:00:00Z") for index, name in enumerate("ab", 2)]
    plan = build_plan(server, first, None, []).plan
    older = tenant("c", alias="c", created="2026-01-01T00:00:00Z")
    decision = build_plan(server, [*first, older], plan, [])
    assert decision.refusals["uid-c"].alias.reason == "CapacityExceeded"
    assert {route.alias for route in decision.plan.routes} == {"a", "b"}


def test_candidates_wait_for_slots_in_the_order_of_their_age():
    server = make_server(max_adapters=2, rollout_slots=1)
    young = tenant(
        "a", alias="a", created="2026-01-02T00:00:00Z", stable=revision("1", 100, "a"), candidate=revision("2", 0, "a")
    )
    old = tenant(
        "b", alias="b", created="2026-01-01T00:00:00Z", stable=revision("1", 100, "b"), candidate=revision("2", 0, "b")
    )
    decision = build_plan(server, [young, old], None, [])
    assert names(decision.plan) == {revision_of("1", "a"), revision_of("1", "b"), revision_of("2", "b")}
    assert decision.refusals["uid-a"].revisions[revision_of("2", "a")].reason == "WaitingForSlot"
    # A candidate that has a slot keeps it.
    oldest = dataclasses.replace(young, claim=dataclasses.replace(young.claim, created_at="2025-01-01T00:00:00Z"))
    assert names(build_plan(server, [oldest, old], decision.plan, []).plan) == names(decision.plan)


def nest(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (nest(200), "deeper"),
        (nest(900), "deeper"),
        ({"a": "x" * 16_400}, "bytes"),
        ({"maximum": 10**20}, "64 bits"),
        ({"properties": {"queue": {"type": 7}}}, "not a JSON Schema: at .properties.queue.type: 7 is not valid"),
        ({"anyOf": [{"required": "queue"}]}, "at .anyOf[0].required"),
        ({"$schema": "http://127.0.0.1:1/dialect"}, "is not a supported dialect"),
        ({"$schema": "https://json-schema.org/draft/next/schema"}, "is not a supported dialect"),
        ({"properties": {"a": {"$ref": "#/$defs/nowhere"}}}, "refers to a part that the schema does not have"),
    ],
    ids=["unreadable", "unwritable", "large", "number", "type", "required", "dialect", "newer", "nowhere"],
)
def test_an_unreadable_contract_stops_only_its_own_candidate(schema, why):
    asked = tenant(
        stable=revision("one", 80), candidate=revision("two", 20), output_contract=OutputContract(json_schema=schema)
    )
    other = tenant("b", alias="billing", stable=revision("three", 100, "billing"))
    decision = build_plan(SERVER, [asked, other], None, [])
    assert ServingPlan.from_json(decision.plan.to_json()) == decision.plan
    assert targets(decision.plan) == {revision_of("one"): 100}
    assert targets(decision.plan, "billing") == {revision_of("three", "billing"): 100}
    refusal = decision.refusals["uid-a"].revisions[revision_of("two")]
    assert refusal.reason == "InvalidOutputContract"
    assert why in refusal.message


def test_after_a_refusal_in_the_bake_the_incumbent_gets_all_traffic():
    asked = tenant(stable=revision("one", 0), candidate=revision("two", 100, rank=512))
    assert targets(build_plan(SERVER, [asked], None, []).plan) == {revision_of("one"): 100}


def test_the_newest_deployment_is_refused_when_the_plan_grows_too_large():
    contract = OutputContract(json_schema={"description": "x" * 16_000})
    tenants = [
        tenant(f"t{index:02}", alias=f"t{index:02}", created=f"2026-01-01T00:00:{index:02}Z", output_contract=contract)
        for index in range(50)
    ]
    decision = build_plan(make_server(max_adapters=64), tenants, None, [])
    refused = [uid for uid, found in decision.refusals.items() if found.alias and found.alias.reason == "PlanTooLarge"]
    kept = len(decision.plan.routes)
    assert sorted(refused) == [f"uid-t{index:02}" for index in range(kept, 50)]
    assert len(decision.plan.to_json().encode()) * 4 // 3 <= MAX_PLAN_BYTES


def test_a_contract_that_grows_does_not_displace_smaller_ones():
    def grown(size: int) -> list[Tenant]:
        contracts = {index: OutputContract(json_schema={"description": "x" * size}) for index in range(44)}
        contracts |= {index: OutputContract(max_tokens=9) for index in range(44, 50)}
        return [
            tenant(f"t{index}", alias=f"t{index}", created=f"2026-01-01T00:00:{index:02}Z", output_contract=contract)
            for index, contract in contracts.items()
        ]

    server = make_server(max_adapters=64)
    first = build_plan(server, grown(10_000), None, [])
    decision = build_plan(server, grown(16_000), first.plan, [at(first.plan)])
    refused = {uid for uid, found in decision.refusals.items() if found.alias}
    assert refused
    assert refused <= {f"uid-t{index}" for index in range(44)}, "the six small ones stay although they are the newest"


def test_the_plan_names_the_allowed_origins_in_any_order():
    assert build_plan(SERVER, [], None, []).plan.allowed_origins is None
    origins = ("https://b.example.com", "https://a.example.com")
    first = build_plan(dataclasses.replace(SERVER, allowed_origins=origins), [], None, []).plan
    assert first.allowed_origins == tuple(sorted(origins))
    again = build_plan(dataclasses.replace(SERVER, allowed_origins=origins[::-1]), [], first, [])
    assert not again.changed
    assert build_plan(SERVER, [], first, []).plan.generation == first.generation + 1


def test_the_plan_allows_structured_outputs_and_is_the_same_as_before_without_them():
    first = build_plan(SERVER, [], None, []).plan
    assert "structuredOutputs" not in first.to_wire()
    allowed = build_plan(dataclasses.replace(SERVER, structured_outputs=True), [], first, []).plan
    assert (allowed.structured_outputs, allowed.generation) == (True, first.generation + 1)


def test_the_plan_has_the_tokens_that_end_answers() -> None:
    stable, candidate = revision("one", 90, stop_token_ids=(2,)), revision("two", 10)
    plan = build_plan(SERVER, [tenant(stable=stable, candidate=candidate)], None, []).plan
    found = {adapter.name: adapter.stop_token_ids for adapter in plan.adapters}
    assert found == {revision_of("one"): (2,), revision_of("two"): None}
