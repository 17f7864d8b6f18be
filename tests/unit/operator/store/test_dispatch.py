"""Changes of the store wake and forget resources, once everything that existed at the start is known."""

from __future__ import annotations

from typing import Any

import pytest

from support.store_objects import KINDS, build_child, build_deployment, build_job, build_server, fill
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, FINE_TUNE_JOB, JOB, MODEL_SERVER
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.store.dispatch import Dispatcher
from tunewright_operator.store.store import Store

OPEN, POOL = Key(FINE_TUNE_JOB, "team", "job"), Key(MODEL_SERVER, "team", "pool")


class Reconciliations:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def wake(self, key: Key, urgency: Urgency) -> None:
        self.calls.append((key, urgency))

    def forget(self, key: Key) -> None:
        self.calls.append((key, "forget"))


def test_nothing_is_reconciled_before_everything_is_known():
    """A plan without the deployments that are not listed yet would take their routes away."""
    store, reconciliations = Store(), Reconciliations()
    dispatcher = Dispatcher(store)
    for kind in KINDS[1:]:
        store.synced(kind)
    with pytest.raises(RuntimeError, match="not synced"), dispatcher.open(reconciliations):
        pass
    store.upsert(MODEL_SERVER, build_server())
    store.upsert(FINE_TUNE_JOB, build_job("ended", "True"))
    store.synced(KINDS[0])
    assert reconciliations.calls == [], "a standby reconciles nothing"
    with dispatcher.open(reconciliations):
        assert reconciliations.calls == [(POOL, Urgency.LISTING)]
    store.upsert(MODEL_SERVER, build_server(version=2, metadata={"generation": 2}))
    assert len(reconciliations.calls) == 1, "it does not lead any more"


def test_a_resource_can_be_woken_for_another_reason_if_it_exists():
    store, reconciliations = fill(Store(), build_server()), Reconciliations()
    dispatcher = Dispatcher(store)
    dispatcher.wake(POOL, Urgency.CHILD)
    with dispatcher.open(reconciliations):
        reconciliations.calls.clear()
        dispatcher.wake(POOL, Urgency.CHILD)
        dispatcher.wake(OPEN, Urgency.CHILD)
    assert reconciliations.calls == [(POOL, Urgency.CHILD)]


def test_a_change_wakes_and_a_deletion_forgets():
    store, reconciliations = fill(Store(), build_job(), build_server(), build_deployment()), Reconciliations()
    with Dispatcher(store).open(reconciliations):
        reconciliations.calls.clear()
        store.upsert(JOB, build_child(JOB, "job-train-1", build_job()))
        assert reconciliations.calls == [(OPEN, Urgency.CHILD)]
        reconciliations.calls.clear()
        store.remove(FINE_TUNE_JOB, "team", "job", "job-uid")
        assert reconciliations.calls == [(OPEN, "forget")]
        reconciliations.calls.clear()
        store.upsert(MODEL_SERVER, build_server(uid="another", version=2))
    tenant = Key(ADAPTER_DEPLOYMENT, "team", "support")
    assert reconciliations.calls == [(POOL, "forget"), (POOL, Urgency.USER), (tenant, Urgency.CHILD)]
