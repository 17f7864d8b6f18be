"""Which clients a server's pods know, what each may call, and when the list gets a new generation."""

from __future__ import annotations

import pytest

from support.worlds.server_observations import PODS, make_state
from tunewright_contracts.clients.access_list import SignedAccessList
from tunewright_contracts.serving_plan import AccessState, PlanStatus, Route
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.domain.serving import access
from tunewright_operator.domain.serving.access import (
    build_access_list,
    find_pods_without_access,
    has_applied,
)
from tunewright_operator.signing import SigningKey

HASH = "9f" * 32
ROUTES = tuple(Route(alias=alias, namespace="team", owner_uid=f"{alias}-uid") for alias in ("support", "billing"))
LABELS = {"support-uid": {"tier": "gold"}, "billing-uid": {"tier": "tin"}}


def make_client(name="web", namespace="team", *, age=0, deleting=False, **spec) -> ModelClient:
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}"}
    metadata["creationTimestamp"] = f"2026-01-01T00:{age // 60:02}:{age % 60:02}Z"
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    keys = [{"id": "7Kp2mX9bT4cQ", "sha256": HASH}]
    return ModelClient.from_body({"metadata": metadata, "spec": {"keys": keys, "aliases": {"all": True}, **spec}})


def decide(*clients, previous=None, pods=(), routes=ROUTES, anonymous=False, status_generation=0):
    return build_access_list(
        "server-uid",
        clients,
        previous,
        pods,
        routes=routes,
        labels=LABELS,
        anonymous=anonymous,
        status_generation=status_generation,
    )


def applied(written, **changes) -> AccessState:
    report = AccessState(generation=written.generation, hash=written.content_hash, status=PlanStatus.APPLIED)
    return report.updated(**changes)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"aliases": {"all": True}}, (True, ())),
        ({"aliases": {"names": ["support", "later"]}}, (False, ("later", "support"))),
        ({"aliases": {"selector": {"matchLabels": {"tier": "gold"}}}}, (False, ("support",))),
        ({"aliases": {"selector": {"matchLabels": {"tier": "none"}}}}, (False, ())),
    ],
)
def test_what_a_client_may_call(spec, expected):
    (entry,) = decide(make_client(**spec)).access.clients
    assert (entry.all_aliases, entry.aliases) == expected
    assert (entry.namespace, entry.name, entry.keys[0].sha256) == ("team", "web", HASH)


@pytest.mark.parametrize(
    ("name", "value"), [("id", "short"), ("id", "7Kp2mX9bT4cQ\n"), ("sha256", HASH.upper()), ("sha256", "")]
)
def test_a_key_in_a_wrong_form_is_left_out(name, value):
    good = {"id": "7Kp2mX9bT4cQ", "sha256": HASH}
    (entry,) = decide(make_client(keys=[{**good, name: value}, {**good, "id": "b" * 12}])).access.clients
    assert [key.id for key in entry.keys] == ["b" * 12]


def test_a_selector_chooses_no_alias_of_another_namespace():
    foreign = Route(alias="payroll", namespace="finance", owner_uid="support-uid")
    client = make_client(aliases={"selector": {"matchLabels": {"tier": "gold"}}})
    assert decide(client, routes=(foreign,)).access.clients[0].aliases == ()


@pytest.mark.parametrize(
    "client", [make_client(suspended=True), make_client(keys=[]), make_client(deleting=True)], ids=str
)
def test_a_client_without_a_usable_key_is_left_out(client):
    assert decide(client).access.clients == ()


@pytest.mark.parametrize(
    ("not_after", "expires_at"),
    [
        ("2027-02-25T00:00:00Z", 1_803_513_600),
        ("2027-02-25T01:00:00+01:00", 1_803_513_600),
        ("tomorrow", 0),  # fails closed
    ],
)
def test_the_end_of_a_key(not_after, expires_at):
    client = make_client(keys=[{"id": "7Kp2mX9bT4cQ", "sha256": HASH, "notAfter": not_after}])
    assert decide(client).access.clients[0].keys[0].expires_at == expires_at


def test_the_order_of_the_clients_changes_nothing():
    clients = [make_client("web"), make_client("batch"), make_client("web", "finance")]
    assert decide(*clients).access == decide(*reversed(clients)).access


FIRST = decide(make_client()).access


@pytest.mark.parametrize(
    ("changes", "generation", "changed"),
    [
        ({}, 1, False),
        ({"pods": [applied(FIRST)]}, 1, False),
        ({"pods": [AccessState()]}, 1, False),
        ({"previous": None}, 1, True),
        ({"previous": None, "status_generation": 4}, 5, True),  # the ConfigMap was lost
        ({"previous": None, "pods": [applied(FIRST, generation=7)]}, 8, True),
        ({"pods": [applied(FIRST, generation=7)]}, 8, True),  # it was restored from a backup
        ({"status_generation": 3}, 4, True),
        ({"pods": [applied(FIRST, hash="other")]}, 2, True),
        ({"pods": [applied(FIRST, status=PlanStatus.CONFLICT)]}, 2, True),
        ({"anonymous": True}, 2, True),
    ],
)
def test_the_generation_exceeds_every_one_that_a_pod_may_have(changes, generation, changed):
    decision = decide(make_client(), **{"previous": FIRST, **changes})
    assert (decision.access.generation, decision.changed) == (generation, changed)


def test_a_revoked_key_makes_a_new_generation():
    decision = decide(make_client(keys=[]), previous=FIRST, pods=[applied(FIRST)])
    assert (decision.access.generation, decision.access.clients) == (2, ())


def test_a_list_that_is_too_large_omits_the_newest_clients_of_the_largest_namespace(monkeypatch):
    monkeypatch.setattr(access, "MAX_ACCESS_BYTES", 20_000)
    many = [make_client(f"c{number:03}", "crowd", age=number) for number in range(100)]
    few = [make_client(f"c{number}", "few", age=3599) for number in range(10)]
    decision = decide(*many, *few)
    kept = [entry.name for entry in decision.access.clients if entry.namespace == "crowd"]
    assert kept == [f"c{number:03}" for number in range(len(kept))]
    assert 40 < len(kept) == 100 - len(decision.omitted) < 80
    signed = SigningKey.generate().sign(decision.access, SignedAccessList)
    assert 18_500 < len(signed.to_json()) <= 20_000
    assert decide(*many, *few, previous=decision.access).changed is False


@pytest.mark.parametrize(
    ("report", "lacks"),
    [
        (None, False),  # a pod of an earlier release takes no list
        (AccessState(), True),
        (applied(FIRST), False),
        (applied(FIRST, generation=9), False),
        (applied(FIRST, status=PlanStatus.REFUSED), True),  # in force, but not stored
    ],
)
def test_which_pods_get_the_list(report, lacks):
    states = {"a": make_state("a").updated(access=report)}
    assert find_pods_without_access(FIRST, PODS, states) == (PODS[:1] if lacks else ())
    assert report is None or has_applied(report, FIRST) is not lacks
