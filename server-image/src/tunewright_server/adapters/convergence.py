"""Decide a pod's next actions on its adapters: pure functions of the plan, the adapters in the pod, and the time.

The order is always: load, then route (a revision that is not loaded gets no requests), stop routing, drain, unload, and
only then delete the files, because vLLM's engine crashes if it must read deleted files of an adapter again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.serving_plan import AdapterEntry, AdapterPhase, ServingPlan
from tunewright_storage.adapter_reasons import AdapterFailure, AdapterReason
from tunewright_storage.errors import CONTENT_PROBLEMS, RETRYABLE, StorageReason
from tunewright_storage.quoting import shorten

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
RELOAD_PAUSE_SECONDS = 60.0
"""The shortest time between two reloads of one adapter: a reload that does not help is not repeated at once."""
MAX_LOAD_ATTEMPTS = 3
"""After these attempts a refusal by vLLM is final: the files passed every check, so another one changes nothing."""

EXTERNAL_CAUSES = frozenset(StorageReason) - CONTENT_PROBLEMS - RETRYABLE - {StorageReason.INVALID_URI}
"""Reasons of storage that are outside the adapter's files."""


@dataclasses.dataclass(frozen=True, slots=True)
class AdapterRecord:
    """One adapter in this pod; times are seconds of a monotonic clock."""

    entry: AdapterEntry
    phase: AdapterPhase
    since: float
    """When it was first in the plan: a failing adapter delays readiness only for a limited time."""
    failure: AdapterFailure | None = None
    """Why the last attempt failed; None when the adapter is loaded."""
    attempts: int = 0
    retry_at: float = 0.0
    given_up: bool = False
    """An earlier wait did not help: readiness no longer waits for this adapter, even while it is retried."""

    suspect: bool = False
    """An earlier process of this pod ended while it loaded this adapter: it is loaded alone, after all others."""

    reloading: bool = False
    """It is draining to be loaded again, because vLLM does not answer for it."""
    reload_after: float = 0.0
    """It is not loaded again before this time."""

    def suspected(self) -> AdapterRecord:
        """Return the record of an adapter that may have ended a process: readiness does not wait for it."""
        return dataclasses.replace(self, suspect=True, given_up=True)

    def in_phase(self, phase: AdapterPhase) -> AdapterRecord:
        """Return the record in another phase."""
        return dataclasses.replace(self, phase=phase)

    def to_reload(self, now: float) -> AdapterRecord:
        """Return the record of an adapter that is loaded again when its running requests have ended."""
        later = now + RELOAD_PAUSE_SECONDS
        return dataclasses.replace(self, phase=AdapterPhase.DRAINING, reloading=True, reload_after=later)

    def unloaded(self) -> AdapterRecord:
        """Return the record of an adapter that vLLM has unloaded, and that is loaded again."""
        return dataclasses.replace(self, phase=AdapterPhase.PENDING, reloading=False, attempts=0)

    def at_address(self, entry: AdapterEntry) -> AdapterRecord:
        """Return the record with an entry for the same content at another address."""
        return dataclasses.replace(self, entry=entry)

    def loaded(self) -> AdapterRecord:
        """Return the record of an adapter that vLLM has loaded."""
        return dataclasses.replace(
            self, phase=AdapterPhase.LOADED, failure=None, given_up=False, suspect=False, reloading=False
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Admit:
    """Record a new adapter as pending."""

    entry: AdapterEntry


@dataclasses.dataclass(frozen=True, slots=True)
class Readdress:
    """Record the new address of the same content; retry immediately if the adapter failed at the old one."""

    entry: AdapterEntry


@dataclasses.dataclass(frozen=True, slots=True)
class BringUp:
    """Fetch, check and load."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """Stop routing; running answers continue."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Revive:
    """Route again to an adapter that was draining."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unload:
    """Unload from vLLM, then delete the files."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Forget:
    """Delete the files of an adapter that was never loaded."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Reload:
    """Unload from vLLM, keep the files, and load again."""

    name: str


Action = Admit | Readdress | BringUp | Drain | Revive | Unload | Forget | Reload


def decide_actions(
    plan: ServingPlan,
    records: Mapping[str, AdapterRecord],
    in_flight: Mapping[str, int],
    now: float,
    *,
    slots: int,
    parallel: int,
) -> tuple[Action, ...]:
    """Return the actions to take now, in order.

    Args:
        plan: the plan in force.
        records: the adapters in this pod, by name.
        in_flight: the number of running requests, by name.
        now: the monotonic time.
        slots: how many adapters vLLM keeps; another one would evict an adapter that serves.
        parallel: how many adapters are fetched at a time.
    """
    wanted = {entry.name: entry for entry in plan.adapters}
    actions: list[Action] = []
    for name, record in records.items():
        keep = name in wanted and wanted[name].digest == record.entry.digest
        if keep and wanted[name] != record.entry:
            actions.append(Readdress(wanted[name]))
        action = _decide_known(record, keep=keep, idle=not in_flight.get(name))
        if action is not None:
            actions.append(action)
    actions.extend(Admit(entry) for name, entry in wanted.items() if name not in records)
    holding = (AdapterPhase.LOADED, AdapterPhase.DRAINING, AdapterPhase.FETCHING)
    free = slots - sum(record.phase in holding for record in records.values())
    fetching = sum(record.phase is AdapterPhase.FETCHING for record in records.values())
    due = [name for name in wanted if _is_due(records.get(name), now)]
    suspects = [name for name in due if records[name].suspect]
    for name in due:
        if name not in suspects and free > 0 and fetching < parallel:
            actions.append(BringUp(name))
            free -= 1
            fetching += 1
    if suspects and free > 0 and not fetching and wanted.keys() <= records.keys():
        actions.append(BringUp(suspects[0]))
    return tuple(actions)


def _decide_known(record: AdapterRecord, *, keep: bool, idle: bool) -> Action | None:
    name = record.entry.name
    if keep:
        if record.phase is not AdapterPhase.DRAINING or (record.reloading and not idle):
            return None
        return Reload(name) if record.reloading else Revive(name)
    match record.phase:
        case AdapterPhase.LOADED:
            return Drain(name)
        case AdapterPhase.DRAINING:
            return Unload(name) if idle else None
        case AdapterPhase.FETCHING:
            return None  # a thread cannot be stopped: the adapter is drained after it is loaded
        case _:
            return Forget(name)


def _is_due(record: AdapterRecord | None, now: float) -> bool:
    if record is None:
        return False
    return record.phase is AdapterPhase.PENDING or (record.phase is AdapterPhase.RETRYING and record.retry_at <= now)


def record_failure(record: AdapterRecord, failure: AdapterFailure, now: float) -> AdapterRecord:
    """Return the record after a failed attempt: retried with doubling waits, or failed.

    A failure that can be fixed without changing the adapter (`EXTERNAL_CAUSES`) is no evidence against it. So it never
    becomes Failed, which would end a candidate: it is retried every minute, and readiness does not wait for it.
    """
    attempts = record.attempts + 1
    final = failure.reason is AdapterReason.LOAD_FAILED and attempts >= MAX_LOAD_ATTEMPTS
    retryable = failure.retryable and not final
    wait = (
        min(FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 16), LONGEST_RETRY_SECONDS)
        if retryable
        else LONGEST_RETRY_SECONDS
    )
    tried_again = retryable or failure.reason in EXTERNAL_CAUSES
    return dataclasses.replace(
        record,
        phase=AdapterPhase.RETRYING if tried_again else AdapterPhase.FAILED,
        failure=dataclasses.replace(failure, message=shorten(failure.message)),
        attempts=attempts,
        retry_at=now + wait if tried_again else 0.0,
        given_up=record.given_up or not retryable,
    )


def is_settled(plan: ServingPlan | None, records: Mapping[str, AdapterRecord], now: float, timeout: float) -> bool:
    """Return whether every adapter of the plan is loaded, failed permanently, or had ``timeout`` seconds to load.

    Without a plan the result is False: a pod that knows no alias must not get requests.
    """
    if plan is None:
        return False
    for entry in plan.adapters:
        record = records.get(entry.name)
        if record is None or record.entry != entry:
            return False
        if record.phase in (AdapterPhase.LOADED, AdapterPhase.FAILED) or record.given_up:
            continue
        if record.phase is AdapterPhase.DRAINING or now - record.since < timeout:
            return False
    return True


def find_next_wake(records: Mapping[str, AdapterRecord]) -> float | None:
    """Return the earliest time at which a retry is due, or None."""
    due = [record.retry_at for record in records.values() if record.phase is AdapterPhase.RETRYING]
    return min(due, default=None)


def may_reload(record: AdapterRecord, now: float) -> bool:
    """Return whether an adapter for which vLLM does not answer is loaded again now."""
    return record.phase is AdapterPhase.LOADED and now >= record.reload_after
