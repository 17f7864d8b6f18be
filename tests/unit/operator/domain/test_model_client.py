"""What is reported of a ModelClient: whether its keys are accepted, where its spec is applied, and until when."""

import datetime as dt

import pytest

from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.domain.model_client import ClientObservation, OwnAlias, ServerOfClient, decide
from tunewright_operator.domain.serving.propagation import Presence, Reach

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEY, SECOND = {"id": "a" * 12, "sha256": "1" * 64}, {"id": "b" * 12, "sha256": "2" * 64}
DAY = dt.timedelta(days=1)


def until(end, key=KEY):
    return {**key, "notAfter": (NOW + end).strftime("%Y-%m-%dT%H:%M:%SZ")}


def make_client(status=None, **spec):
    metadata = {"name": "web", "namespace": "support", "uid": "web-uid", "generation": 2}
    body = {"metadata": metadata, "spec": {"keys": [KEY], "aliases": {"all": True}, **spec}, "status": status or {}}
    return ModelClient.from_body(body)


def on(server="pool", *, applied=2, generation=2, omitted=False, **reach):
    return ServerOfClient("serving", server, Presence(generation, omitted, Reach(applied, **reach)))


SUPPORT = OwnAlias("support", {"app": "triage"})
UNREPORTED = ServerOfClient("serving", "pool", None)


def see(client=None, *servers, aliases=(SUPPORT,)):
    return ClientObservation(client or make_client(), servers or (on(),), aliases)


def conditions(decision):
    return {item.type: (item.status, item.reason) for item in decision.status.conditions}


def message(decision, name="Ready"):
    return next(item.message for item in decision.status.conditions if item.type == name)


READY, DONE = ("True", "Known"), ("True", "Propagated")
LATE = ("False", "Propagating")


@pytest.mark.parametrize(
    ("observation", "ready", "propagated", "progress"),
    [
        (see(), READY, DONE, None),
        (see(None, on(applied=0)), READY, DONE, None),
        (see(None, on(), on("other")), READY, DONE, None),
        (see(None, on(), on("other", behind=("other-0",))), LATE, LATE, "Reconciling"),
        (see(None, on(silent=("pool-1",))), LATE, LATE, "Reconciling"),
        (see(None, on(generation=1)), LATE, LATE, "Reconciling"),
        (see(None, on(), UNREPORTED), LATE, LATE, "Reconciling"),
        (see(make_client(suspended=True)), ("False", "Suspended"), DONE, None),
        (see(make_client(suspended=True), on(behind=("pool-0",))), ("False", "Suspended"), LATE, "Reconciling"),
        (see(make_client(keys=[])), ("False", "NoKey"), DONE, "Stalled"),
        (see(make_client(keys=[]), on(behind=("pool-0",))), ("False", "NoKey"), LATE, "Stalled"),
        (see(make_client(keys=[until(-DAY)])), ("False", "KeysExpired"), DONE, "Stalled"),
        (see(make_client(keys=[{**KEY, "notAfter": "soon"}])), ("False", "KeysExpired"), DONE, "Stalled"),
        (see(make_client(keys=[until(DAY)])), ("True", "KeyExpiresSoon"), DONE, None),
        (see(make_client(keys=[until(15 * DAY)])), READY, DONE, None),
        (see(make_client(keys=[until(DAY), SECOND])), READY, DONE, None),
        (see(make_client(keys=[until(DAY), until(30 * DAY, SECOND)])), READY, DONE, None),
        (see(None, on(omitted=True)), ("False", "ListFull"), DONE, "Stalled"),
        (ClientObservation(make_client()), ("False", "NoServer"), ("True", "NoServer"), "Reconciling"),
    ],
)
def test_conditions(observation, ready, propagated, progress):
    found = conditions(decide(observation, NOW))
    assert (found.pop("Ready"), found.pop("Propagated")) == (ready, propagated)
    assert list(found) == ([progress] if progress else [])


@pytest.mark.parametrize(
    ("servers", "text"),
    [
        ((on(applied=3),), "3/3 pods of serving/pool."),
        ((on(), on("other", applied=1)), "2/2 pods of serving/pool; 1/1 pods of serving/other."),
        (
            (on(), on("other", applied=1, silent=("other-1",))),
            "1/2 pods of serving/other (other-1 does not answer the operator); 2/2 pods of serving/pool.",
        ),
        (
            (on(applied=0, behind=("pool-0", "pool-1")),),
            "0/2 pods of serving/pool (pool-0 and pool-1 has an older list)",
        ),
        (
            (on(generation=1),),
            "0/2 pods of serving/pool (its list does not have this spec yet; see the conditions of the ModelServer if",
        ),
    ],
)
def test_the_message_counts_the_pods_and_names_those_that_are_missing(servers, text):
    decision = decide(see(None, *servers), NOW)
    assert message(decision, "Propagated").startswith(text)
    counts = {(item.name, item.converged, item.replicas) for item in decision.status.servers}
    assert {name for name, *_ in counts} == {server.name for server in servers}
    assert all(
        f"{converged}/{replicas} pods of serving/{name}" in message(decision, "Propagated")
        for name, converged, replicas in counts
    )


def test_many_pods_are_not_all_named():
    decision = decide(see(None, on(behind=tuple(f"pod-{number}" for number in range(9)))), NOW)
    assert "pod-4 and 4 more has an older list" in message(decision, "Propagated")


@pytest.mark.parametrize(
    ("aliases", "text"),
    [
        ({"all": True}, "It can call: billing, support."),
        ({"names": ["support", "old"]}, "It can call: support. No AdapterDeployment of this namespace has: old."),
        ({"selector": {"matchLabels": {"app": "triage"}}}, "It can call: support."),
        ({"selector": {"matchLabels": {"app": "none"}}}, "It can call no alias yet."),
    ],
)
def test_the_message_names_what_the_client_can_call(aliases, text):
    decision = decide(see(make_client(aliases=aliases), aliases=(SUPPORT, OwnAlias("billing", {}))), NOW)
    assert message(decision) == f"Valid keys: {KEY['id']}. {text}"


@pytest.mark.parametrize(
    ("keys", "after"),
    [
        ([KEY], None),
        ([until(-DAY)], None),
        ([until(DAY)], DAY),
        ([until(20 * DAY)], 6 * DAY),
        ([until(DAY), until(16 * DAY, SECOND)], DAY),
    ],
)
def test_a_client_is_reconciled_again_when_a_key_ends_and_14_days_before(keys, after):
    found = decide(see(make_client(keys=keys)), NOW).reconcile_after_seconds
    assert found == (after.total_seconds() if after else None)


def test_a_new_operator_keeps_the_report_until_it_knows_every_server():
    last = decide(see(), NOW).status
    client = make_client(status=last.to_status())
    assert decide(see(client, on(), UNREPORTED), NOW).status == last
    edited = client.updated(metadata=client.metadata.updated(generation=3))
    assert conditions(decide(see(edited, UNREPORTED), NOW))["Propagated"] == LATE
