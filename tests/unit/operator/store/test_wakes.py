"""Which loops a change wakes: a table with one change in each row, and with all that it wakes."""

from __future__ import annotations

from typing import Any

import pytest

from support.store_objects import (
    DIGEST,
    TIME,
    Body,
    build_child,
    build_client,
    build_condition,
    build_deployment,
    build_job,
    build_model,
    build_server,
    fill,
    kind_named,
)
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    OWN_KINDS,
    POD,
    REPLICA_SET,
)
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.store.store import Store
from tunewright_operator.store.wakes import RULES, find_first_wakes, find_wakes

MODEL, OTHER_MODEL = Key(BASE_MODEL, None, "model"), Key(BASE_MODEL, None, "other")
OPEN, ENDED = Key(FINE_TUNE_JOB, "team", "open"), Key(FINE_TUNE_JOB, "team", "ended")
POOL, OTHER = Key(MODEL_SERVER, "team", "pool"), Key(MODEL_SERVER, "team", "other")
SELECTS, NAMES = Key(ADAPTER_DEPLOYMENT, "team", "selects"), Key(ADAPTER_DEPLOYMENT, "team", "names")
BY_NAME = {"fineTuneJobRef": {"name": "open"}}
SUPPORT = {"labels": {"app": "support"}}


def on_other_pool(deployment: Body) -> Body:
    return {**deployment, "spec": {**deployment["spec"], "serverRef": {"name": "other"}}}


REVISION = {"revision": "support--1", "digest": DIGEST, "uri": "s3://b/a", "rank": 8, "baseModelDigest": DIGEST}
CANDIDATE = {**REVISION, "acceptedAt": TIME, "weight": 20}
OBSERVED = {**CANDIDATE, "stepStartedAt": TIME, "observation": {"stepIndex": 0}}


def world() -> list[Body]:
    """Return what exists: resources that depend on each other, and as many that depend on others."""
    other = on_other_pool(build_deployment("elsewhere", {"fineTuneJobSelector": {"matchLabels": {"app": "billing"}}}))
    on_other_model = {**build_job()["spec"], "baseModelRef": {"name": "other"}}
    return [
        build_model(),
        build_model("other"),
        build_job("open", metadata=SUPPORT),
        build_job("ended", "True", metadata=SUPPORT),
        build_job("stranger", spec=on_other_model),
        build_server(),
        build_server("other", spec={**build_server()["spec"], "baseModelRef": {"name": "other"}}),
        build_deployment("selects"),
        build_deployment("names", BY_NAME),
        other,
        build_deployment("foreign", namespace="foreign"),
        CLIENT,
        build_child(JOB, "open-train-1", build_job("open")),
        build_child(
            JOB,
            "ended-train-1",
            build_job("ended"),
            spec={"ttlSecondsAfterFinished": 3600},
            status={"conditions": [build_condition("Complete", "True")]},
        ),
        build_child(POD, "pool-pod", build_server()),
    ]


def change(body: Body, **fields: Any) -> Body:
    """Return the next version of an object with other fields."""
    metadata = {**body["metadata"], **fields.pop("metadata", {}), "resourceVersion": "2"}
    return {**body, **fields, "metadata": metadata}


def with_status(body: Body, **status: Any) -> Body:
    return change(body, status={**body["status"], **status})


JOB_OPEN = build_job("open", metadata=SUPPORT)
JOB_ENDED = build_job("ended", "True", metadata=SUPPORT)
DEPLOYMENT = build_deployment("selects")
SERVER = build_server()
EDITED = {"generation": 2}
GONE = "gone"
BASE = build_model()
TRAIN, ENDED_TRAIN = (build_child(JOB, f"{name}-train-1", build_job(name)) for name in ("open", "ended"))
SERVER_POD = build_child(POD, "pool-pod", SERVER)
RUNNING, FAILED = build_condition("Succeeded", "Unknown"), build_condition("Succeeded", "False")
SUCCEEDED = build_job(succeeded="True")["status"]
ABORT = {"annotations": {"tunewright.dev/abort": "x@1"}}
USER, CHILD, PROGRESS = Urgency.USER, Urgency.CHILD, Urgency.PROGRESS
BOTH = {NAMES: CHILD, SELECTS: CHILD}
USERS = {POOL: CHILD, OPEN: PROGRESS}
CLIENT, WEB = build_client(), Key(MODEL_CLIENT, "team", "web")
"""Its namespace has deployments on both servers."""
POOLS = {POOL: USER, OTHER: USER}
ROWS: list[tuple[str, Body, Body | str, dict[Key, Urgency]]] = [
    # FineTuneJob
    ("a job's spec", JOB_OPEN, change(JOB_OPEN, metadata=EDITED), {OPEN: USER}),
    (
        "a job's queue",
        JOB_OPEN,
        change(JOB_OPEN, metadata={"labels": {**SUPPORT["labels"], "q": "1"}}),
        {OPEN: USER, NAMES: CHILD},
    ),
    ("a job's deletion", JOB_OPEN, change(JOB_OPEN, metadata={"deletionTimestamp": TIME}), {OPEN: USER}),
    (
        "a job's annotation, which it does not read",
        JOB_OPEN,
        change(JOB_OPEN, metadata={"annotations": {"a": "b"}}),
        {},
    ),
    ("a job's progress", JOB_OPEN, with_status(JOB_OPEN, progress={"step": 7}, phase="Training"), {}),
    ("a job's own condition", JOB_OPEN, with_status(JOB_OPEN, conditions=[RUNNING]), {}),
    ("a job that succeeds", JOB_OPEN, with_status(JOB_OPEN, **SUCCEEDED), BOTH),
    ("a job that fails", JOB_OPEN, with_status(JOB_OPEN, conditions=[FAILED]), BOTH),
    ("an ended job's score", JOB_ENDED, with_status(JOB_ENDED, evaluation=[]), {}),
    ("an ended job's spec", JOB_ENDED, change(JOB_ENDED, metadata=EDITED), {ENDED: USER}),
    ("an ended job's labels", JOB_ENDED, change(JOB_ENDED, metadata={"labels": {}}), {SELECTS: CHILD}),
    ("a running job is gone", JOB_OPEN, GONE, {NAMES: CHILD}),
    ("an ended job is gone", JOB_ENDED, GONE, {SELECTS: CHILD}),
    # ModelClient
    ("a client's spec", CLIENT, change(CLIENT, metadata=EDITED), {WEB: USER, **POOLS}),
    ("a client's deletion", CLIENT, change(CLIENT, metadata={"deletionTimestamp": TIME}), {WEB: USER, **POOLS}),
    ("a client's label", CLIENT, change(CLIENT, metadata={"labels": {"a": "b"}}), {WEB: USER}),
    ("a client's status", CLIENT, with_status(CLIENT, conditions=[build_condition("Ready", "True")]), {}),
    ("a client is gone", CLIENT, GONE, POOLS),
    # AdapterDeployment
    (
        "a deployment's label, by which clients select aliases",
        DEPLOYMENT,
        change(DEPLOYMENT, metadata={"labels": {"a": "b"}}),
        {SELECTS: USER, POOL: CHILD, WEB: PROGRESS},
    ),
    ("a deployment's spec", DEPLOYMENT, change(DEPLOYMENT, metadata=EDITED), {SELECTS: USER, POOL: CHILD}),
    ("a deployment's annotation", DEPLOYMENT, change(DEPLOYMENT, metadata=ABORT), {SELECTS: USER}),
    (
        "a deployment's server",
        DEPLOYMENT,
        change(on_other_pool(DEPLOYMENT), metadata=EDITED),
        {SELECTS: USER, POOL: CHILD, OTHER: CHILD, WEB: PROGRESS},
    ),
    (
        "a deployment's deletion",
        DEPLOYMENT,
        change(DEPLOYMENT, metadata={"deletionTimestamp": TIME}),
        {SELECTS: USER, POOL: CHILD, WEB: PROGRESS},
    ),
    (
        "a deployment's condition",
        DEPLOYMENT,
        with_status(DEPLOYMENT, conditions=[build_condition("Ready", "False")]),
        {},
    ),
    ("a deployment's candidate", DEPLOYMENT, with_status(DEPLOYMENT, candidate=CANDIDATE), {POOL: CHILD}),
    (
        "a deployment's stable revision",
        DEPLOYMENT,
        with_status(DEPLOYMENT, stable={**REVISION, "since": TIME}),
        {POOL: CHILD},
    ),
    ("a deployment is gone", DEPLOYMENT, GONE, {POOL: CHILD, WEB: PROGRESS}),
    # ModelServer
    ("a server's spec", SERVER, change(SERVER, metadata=EDITED), {POOL: USER}),
    ("a server's status", SERVER, with_status(SERVER, readyReplicas=1), {}),
    ("a server's label", SERVER, change(SERVER, metadata={"labels": {"a": "b"}}), {POOL: USER}),
    ("a server is gone", SERVER, GONE, {**BOTH, WEB: PROGRESS}),
    # BaseModel
    ("a model's digest", BASE, with_status(BASE, digest=""), USERS),
    ("a model's readiness", BASE, with_status(BASE, conditions=[build_condition("Ready", "False")]), USERS),
    (
        "a model's message",
        BASE,
        with_status(BASE, conditions=[{**build_condition("Ready", "True"), "message": "other"}]),
        {},
    ),
    ("a model's finalizer", BASE, change(BASE, metadata={"finalizers": ["x"]}), {MODEL: USER}),
    ("a model is gone", BASE, GONE, USERS),
    # Children
    ("a child's status", TRAIN, change(TRAIN, status={"startTime": TIME}), {OPEN: CHILD}),
    ("what no decision reads of a child", TRAIN, change(TRAIN, status={"active": 1}), {}),
    ("a child is gone", TRAIN, GONE, {OPEN: CHILD}),
    ("a server's pod", SERVER_POD, change(SERVER_POD, status={"phase": "Running"}), {POOL: CHILD}),
    ("a Job of an ended job is gone", ENDED_TRAIN, GONE, {}),
]


def wake(old: Body | None, new: Body | str | None) -> dict[Key, Urgency]:
    """Return who is woken in the `world`, which has the new object."""
    bodies = {(body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"]): body for body in world()}
    store = fill(Store(), *bodies.values())
    found: list[Any] = []
    store.subscribe(lambda kind, before, after: found.extend(find_wakes(kind, before, after, store)))
    metadata = (old if isinstance(new, str) or new is None else new)["metadata"]
    kind = kind_named((old or new)["kind"])
    if new == GONE:
        store.remove(kind, metadata.get("namespace"), metadata["name"], metadata["uid"])
    else:
        store.upsert(kind, new)
    woken = {item.key: item.urgency for item in found}
    assert len(woken) == len(found), "each resource is woken once"
    return woken


def test_a_window_that_opens_wakes_its_server_once():
    """The server then polls its pods more often."""
    store = fill(Store(), *world())
    found: list[Key] = []
    store.subscribe(lambda kind, old, new: found.extend(item.key for item in find_wakes(kind, old, new, store)))
    for number, (candidate, woken) in enumerate(
        (
            (CANDIDATE, [POOL]),
            (OBSERVED, [POOL]),
            ({**OBSERVED, "observation": {"stepIndex": 0, "polls": 2}}, []),
        )
    ):
        metadata = {**DEPLOYMENT["metadata"], "resourceVersion": str(1000 + number)}
        body = {**with_status(DEPLOYMENT, candidate=candidate), "metadata": metadata}
        found.clear()
        store.upsert(ADAPTER_DEPLOYMENT, body)
        assert found == woken


@pytest.mark.parametrize(("old", "new", "woken"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_change_wakes_what_depends_on_it(old: Body, new: Body | str, woken: dict[Key, Urgency]):
    assert wake(old, new) == woken


NEW: list[tuple[Body, dict[Key, Urgency]]] = [
    (build_job("new"), {Key(FINE_TUNE_JOB, "team", "new"): Urgency.USER}),
    (build_job("new", "True", metadata=SUPPORT), {SELECTS: Urgency.CHILD}),
    (build_deployment("new"), {Key(ADAPTER_DEPLOYMENT, "team", "new"): USER, POOL: CHILD, WEB: PROGRESS}),
    (build_client("new"), {Key(MODEL_CLIENT, "team", "new"): USER, **POOLS}),
    (build_server("new"), {Key(MODEL_SERVER, "team", "new"): Urgency.USER}),
    (build_model("new"), {Key(BASE_MODEL, None, "new"): Urgency.USER}),
    (build_child(JOB, "new", build_job("open")), {OPEN: Urgency.CHILD}),
    (build_child(JOB, "new", build_job("ended")), {ENDED: Urgency.CHILD}),
    (build_child(POD, "new", build_job("ended")), {}),
    (build_child(JOB, "new", build_job("unknown")), {}),
    (build_child(REPLICA_SET, "new", build_server()), {}),
]


@pytest.mark.parametrize(("body", "woken"), NEW, ids=[f"{body['kind']} {index}" for index, (body, _) in enumerate(NEW)])
def test_a_new_object_wakes_what_depends_on_it(body: Body, woken: dict[Key, Urgency]):
    assert wake(None, body) == woken


@pytest.mark.parametrize(
    ("old", "new", "woken"),
    [
        (JOB_OPEN, GONE, {MODEL: Urgency.CHILD}),
        (JOB_OPEN, with_status(JOB_OPEN, **build_job(succeeded="True")["status"]), {MODEL: Urgency.CHILD}),
        (JOB_OPEN, with_status(JOB_OPEN, progress={"step": 1}), {}),
        (SERVER, GONE, {MODEL: Urgency.CHILD}),
        (SERVER, with_status(SERVER, readyReplicas=1), {}),
    ],
)
def test_the_deletion_of_a_base_model_continues_when_a_user_of_it_ends(
    monkeypatch: pytest.MonkeyPatch, old: Body, new: Body | str, woken: dict[Key, Urgency]
):
    before = [body for body in world() if body["metadata"]["name"] != "model"]
    deleted = build_model(metadata={"deletionTimestamp": TIME, "finalizers": ["tunewright.dev/in-use"]})
    monkeypatch.setitem(globals(), "world", lambda: [*before, deleted])
    assert {key: urgency for key, urgency in wake(old, new).items() if key.kind == BASE_MODEL} == woken


def test_a_resource_that_was_created_again_is_woken():
    again = build_job("open", uid="another", version=2, metadata=SUPPORT)
    assert wake(JOB_OPEN, again) == {OPEN: Urgency.USER, NAMES: Urgency.CHILD}


def test_the_first_listing_wakes_all_except_jobs_that_have_ended_and_need_nothing():
    store = fill(Store(), *world(), build_job("left", "False"), build_child(JOB, "left-train-1", build_job("left")))
    wakes = list(find_first_wakes(store))
    assert {item.urgency for item in wakes} == {Urgency.LISTING}
    names = {(item.key.kind.name, item.key.name) for item in wakes}
    assert ("FineTuneJob", "open") in names
    assert ("FineTuneJob", "left") in names, "one of its Jobs still runs"
    assert ("FineTuneJob", "ended") not in names
    own = [body for body in world() if kind_named(body["kind"]) in OWN_KINDS]
    assert len(names) == len(own) - 1 + 1


def test_each_rule_is_triggered_by_a_row():
    """A rule that no row triggers would be untested."""
    changes: list[tuple[Body, Body | str | None]] = [(row[1], row[2]) for row in ROWS]
    changes += [(body, None) for body, _ in NEW]
    triggered = set()
    for body, new in changes:
        kind, metadata = kind_named(body["kind"]), body["metadata"]
        store = fill(Store(), *world())
        address = (kind, metadata.get("namespace"), metadata["name"])
        before = store.find(*address)
        if new == GONE:
            store.remove(*address, metadata["uid"])
        else:
            store.upsert(kind, body if new is None else new)
        after = store.find(*address)
        triggered |= {rule for rule in RULES if kind in rule.kinds and list(rule.find(before, after, store))}
    left = {rule.wakes for rule in RULES if rule not in triggered}
    assert left == {"its BaseModel, if that is being deleted"}, "which has a test of its own"
