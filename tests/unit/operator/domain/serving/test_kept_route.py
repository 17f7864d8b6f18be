"""The route of a deployment that this operator cannot read."""

from __future__ import annotations

import dataclasses

import pytest

from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_server
from tunewright_contracts.serving_plan import AdapterEntry, Route, ServingPlan, Target
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.aliases import AliasClaim
from tunewright_operator.domain.serving.claim import Tenant
from tunewright_operator.domain.serving.kept_route import keep_route, list_kept

SERVER = make_server()
TARGETS = (Target(name="support--1", weight=80), Target(name="support--2", weight=20))
ROUTE = Route(alias="support", namespace="team", owner_uid="uid", targets=TARGETS, fallback="support--1")
CLAIM = AliasClaim("uid", "team", "support", "2026-01-01T00:00:00Z", "support")
KEPT = Tenant(CLAIM, kept_route=ROUTE)


def entry(name: str, *, namespace: str = "team", uri: str = "") -> AdapterEntry:
    return AdapterEntry(
        name=name, digest=digest_of(name), uri=uri or f"s3://models/{namespace}/{name}", rank=8, namespace=namespace
    )


def plan(*entries: AdapterEntry) -> ServingPlan:
    return ServingPlan(server_uid="s", generation=1, base_model_digest=BASE_DIGEST, adapters=entries, routes=(ROUTE,))


def test_all_adapters_of_the_alias_stay_loaded() -> None:
    entries = [
        entry("support--1"),
        entry("support--2"),
        entry("support--3"),
        entry("support-2--1"),
        entry("billing--1"),
        entry("support--4", namespace="other"),
        entry("support--5", uri="s3://models/other/5"),
    ]
    before = {item.name: item for item in entries}
    assert list_kept(SERVER, KEPT, before) == {"support--1", "support--2", "support--3"}
    assert list_kept(SERVER, dataclasses.replace(KEPT, kept_route=None), before) == frozenset()


def test_the_route_stays_while_the_server_allows_its_targets() -> None:
    assert keep_route(SERVER, KEPT, plan(entry("support--1"), entry("support--2"))) is KEPT


@pytest.mark.parametrize("uri", ["s3://models/other/2", "s3://elsewhere/team/2"])
def test_the_route_has_no_target_if_the_server_does_not_allow_one_of_them(uri: str) -> None:
    kept = keep_route(SERVER, KEPT, plan(entry("support--1"), entry("support--2", uri=uri)))
    assert kept.kept_route is not None
    assert (kept.kept_route.targets, kept.kept_route.fallback) == ((), "")
    assert kept.kept_route.owner_uid == "uid"


def test_the_route_has_no_target_if_one_is_not_loaded() -> None:
    kept = keep_route(SERVER, KEPT, plan(entry("support--1")))
    assert kept.kept_route is not None
    assert kept.kept_route.targets == ()


def test_a_readable_deployment_and_one_without_a_last_plan_are_unchanged() -> None:
    narrow = make_server(sources=SourcePolicy("serving", ("s3://elsewhere",)))
    tenant = Tenant(CLAIM)
    assert keep_route(narrow, tenant, plan(entry("support--1"))) is tenant
    assert keep_route(narrow, KEPT, None) is KEPT
