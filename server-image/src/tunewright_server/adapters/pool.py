"""The adapters in this pod: fetch, check, load, drain, unload and delete, driven by `convergence.decide_actions`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from tunewright_contracts.serving_plan import AdapterEntry, AdapterPhase, AdapterState, ServingPlan
from tunewright_server.adapters import convergence
from tunewright_server.adapters.convergence import AdapterRecord
from tunewright_server.adapters.engine import Engine, EngineRefusedError
from tunewright_server.adapters.load_journal import LoadJournal
from tunewright_server.adapters.local_adapters import JOURNAL_FOLDER, AdapterLimits, AdapterSourcePort, LocalAdapters
from tunewright_storage.adapter_reasons import AdapterError, AdapterFailure, AdapterReason
from tunewright_storage.disk_space import is_disk_full
from tunewright_storage.errors import StorageError
from tunewright_storage.quoting import shorten
from tunewright_storage.redaction import redact

log = structlog.get_logger(__name__)

_PARALLEL_FETCHES = 2
_LIGHTER_ADAPTER = "train it again with a lower rank"
_LEADS_ON = (
    convergence.Admit,
    convergence.Readdress,
    convergence.Drain,
    convergence.Unload,
    convergence.Forget,
    convergence.Reload,
)
"""Actions that make others possible: admitting leads to bringing up, draining to unloading."""


class AdapterPool:
    """Keep the adapters' records, count running requests, and load and unload adapters as the plan requires.

    All methods run on the event loop; slow work runs in threads. `step` is called whenever something may have changed.
    """

    def __init__(
        self,
        folder: Path,
        source: AdapterSourcePort,
        engine: Engine,
        limits: AdapterLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._files = LocalAdapters(folder, source, limits)
        self._engine = engine
        self._limits = limits
        self._clock = clock
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()
        self._plan: ServingPlan | None = None
        self._journal = LoadJournal(folder / JOURNAL_FOLDER)
        self.records: dict[str, AdapterRecord] = {}
        self.in_flight: dict[str, int] = {}

    def set_plan(self, plan: ServingPlan) -> None:
        """Set the plan that the next `step` follows."""
        self._plan = plan

    def is_loaded(self, name: str) -> bool:
        """Return whether a revision is loaded, so that it can get requests in this pod."""
        record = self.records.get(name)
        return record is not None and record.phase is AdapterPhase.LOADED

    def stop_tokens(self, name: str) -> tuple[int, ...]:
        """Return the tokens that end a revision's answers, in addition to the base model's."""
        record = self.records.get(name)
        return record.entry.stop_token_ids or () if record is not None else ()

    def is_settled(self) -> bool:
        """Return whether every adapter of the plan is loaded, failed permanently or out of time."""
        return convergence.is_settled(self._plan, self.records, self._clock(), self._limits.timeout_seconds)

    def waiting_for(self) -> list[str]:
        """Return the names of the plan's adapters that are neither loaded nor failed permanently."""
        done = (AdapterPhase.LOADED, AdapterPhase.FAILED)
        names = [entry.name for entry in self._plan.adapters] if self._plan else []
        return [name for name in names if name not in self.records or self.records[name].phase not in done]

    def enter(self, name: str) -> None:
        """Count a running request to a revision: until `leave`, the revision is neither unloaded nor deleted."""
        self.in_flight[name] = self.in_flight.get(name, 0) + 1

    def leave(self, name: str) -> None:
        """Count a request as done."""
        left = self.in_flight.get(name, 0) - 1
        if left > 0:
            self.in_flight[name] = left
            return
        self.in_flight.pop(name, None)
        record = self.records.get(name)
        if record is not None and record.phase is AdapterPhase.DRAINING:
            self._wake()

    def reload(self, name: str, cause: str) -> None:
        """Load an adapter again for which vLLM does not answer, when its running requests have ended."""
        record = self.records.get(name)
        if record is not None and convergence.may_reload(record, self._clock()):
            self.records[name] = record.to_reload(self._clock())
            log.warning("adapter_reloading", name=name, cause=cause)
            self._wake()

    def states(self) -> tuple[AdapterState, ...]:
        """Return what the pod reports about its adapters."""
        holding = sum(record.phase in (AdapterPhase.LOADED, AdapterPhase.DRAINING) for record in self.records.values())
        full = holding >= self._limits.slots
        return tuple(
            AdapterState(
                name=name,
                digest=record.entry.digest,
                phase=record.phase,
                reason=_reported_reason(record, full=full),
                message=record.failure.message if record.failure is not None else "",
                in_flight=self.in_flight.get(name, 0),
            )
            for name, record in self.records.items()
        )

    def next_wake(self) -> float | None:
        """Return the seconds until a retry is due, or None."""
        due = convergence.find_next_wake(self.records)
        return None if due is None else max(0.0, due - self._clock())

    def delete_leftovers(self) -> None:
        """Delete the folders of an earlier process of this pod that no adapter of the plan uses."""
        wanted = {entry.name for entry in self._plan.adapters} if self._plan else set()
        self._files.delete_others({name for name in wanted if not self._journal.read(name).is_final})
        if self._plan is not None:
            self._journal.delete_others(wanted)

    async def step(self) -> None:
        """Do what can be done now; fetches run in the background and wake the loop when they end."""
        while self._plan is not None:
            actions = convergence.decide_actions(
                self._plan,
                self.records,
                self.in_flight,
                self._clock(),
                slots=self._limits.slots,
                parallel=_PARALLEL_FETCHES,
            )
            for action in actions:
                await self._act(action)
            if not any(isinstance(action, _LEADS_ON) for action in actions):
                return

    async def close(self) -> None:
        """Wait for running fetches and loads."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _act(self, action: convergence.Action) -> None:
        match action:
            case convergence.Admit(entry):
                self._admit(entry)
            case convergence.Readdress(entry):
                record = self.records[entry.name]
                if record.phase in (AdapterPhase.FAILED, AdapterPhase.RETRYING):
                    self._admit(entry)
                else:
                    self.records[entry.name] = record.at_address(entry)
                log.info("adapter_readdressed", name=entry.name, uri=entry.uri)
            case convergence.BringUp(name):
                self.records[name] = self.records[name].in_phase(AdapterPhase.FETCHING)
                task = asyncio.create_task(self._bring_up(name), name=f"bring-up-{name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case convergence.Drain(name):
                self.records[name] = self.records[name].in_phase(AdapterPhase.DRAINING)
                log.info("adapter_draining", name=name, in_flight=self.in_flight.get(name, 0))
            case convergence.Revive(name):
                self.records[name] = self.records[name].in_phase(AdapterPhase.LOADED)
                log.info("adapter_revived", name=name)
            case convergence.Unload(name):
                await self._unload(name)
            case convergence.Forget(name):
                await self._forget(name)
            case convergence.Reload(name):
                await self._reload(name)

    def _admit(self, entry: AdapterEntry) -> None:
        record = AdapterRecord(entry, AdapterPhase.PENDING, self._clock())
        history = self._journal.read(entry.name)
        if history.is_final:
            problem = (
                self._describe_overdue()
                if history.overdue
                else f"the server ended {history.interrupted} times while it loaded the adapter"
            )
            failure = AdapterFailure(AdapterReason.LOAD_DEADLINE, f"{problem}; {_LIGHTER_ADAPTER}")
            self.records[entry.name] = convergence.record_failure(record, failure, self._clock())
            log.warning("adapter_failed_before", name=entry.name, interrupted=history.interrupted)
        else:
            self.records[entry.name] = record.suspected() if history.interrupted else record

    async def _bring_up(self, name: str) -> None:
        entry = self.records[name].entry
        started = self._clock()
        try:
            assert self._plan is not None  # noqa: S101 - a step comes after the first plan
            folder = await asyncio.to_thread(self._files.prepare, entry, self._plan.adapter_sources)
            await self._load(name, folder)
        except AdapterError as error:
            self._fail(name, error.failure)
        except StorageError as error:
            self._fail(name, AdapterFailure(error.reason, str(error), retryable=error.retryable))
        except Exception as error:
            # A full disk or a bug: it is reported and retried, and must not affect the other adapters.
            log.exception("adapter_failed_unexpectedly", name=name)
            reason = AdapterReason.DISK_FULL if is_disk_full(error) else AdapterReason.LOAD_FAILED
            message = redact(f"{type(error).__name__}: {error}")
            self._fail(name, AdapterFailure(reason, message, retryable=True))
        else:
            self.records[name] = self.records[name].loaded()
            log.info("adapter_loaded", name=name, seconds=round(self._clock() - started, 3))
        finally:
            self._wake()

    async def _load(self, name: str, folder: Path) -> None:
        """Load an adapter within the deadline; the journal keeps a load that does not end, whatever ends the process.

        Raises:
            AdapterError: vLLM refused it, or did not answer in time.
        """
        await asyncio.to_thread(self._journal.begin, name)
        try:
            async with asyncio.timeout(self._limits.load_deadline_seconds):
                await self._engine.load(name, folder)
        except TimeoutError as error:
            await asyncio.to_thread(self._journal.mark_overdue, name)
            message = f"{self._describe_overdue()}; {_LIGHTER_ADAPTER}"
            raise AdapterError(AdapterReason.LOAD_DEADLINE, message) from error
        except EngineRefusedError as error:
            await asyncio.to_thread(self._journal.end, name)
            raise AdapterError(AdapterReason.LOAD_FAILED, f"vLLM: {error}", retryable=True) from error
        await asyncio.to_thread(self._journal.end, name)

    def _describe_overdue(self) -> str:
        return f"vLLM did not load the adapter within {self._limits.load_deadline_seconds:.0f} s"

    async def _unload(self, name: str) -> None:
        try:
            await self._engine.unload(name)
        except EngineRefusedError:
            # No request is routed to it any longer, and its files stay: vLLM may read them again.
            log.exception("adapter_unload_failed", name=name)
            del self.records[name]
            return
        await self._forget(name)
        log.info("adapter_unloaded", name=name)

    async def _reload(self, name: str) -> None:
        try:
            await self._engine.unload(name)
        except EngineRefusedError:
            log.exception("adapter_unload_failed", name=name)
            self.records[name] = self.records[name].loaded()
            return
        self.records[name] = self.records[name].unloaded()

    async def _forget(self, name: str) -> None:
        """Delete an adapter's record, its files and the history of its loads: it is no longer in the plan."""
        del self.records[name]
        await asyncio.to_thread(self._files.delete, name)
        await asyncio.to_thread(self._journal.end, name)

    def _fail(self, name: str, failure: AdapterFailure) -> None:
        record = convergence.record_failure(self.records[name], failure, self._clock())
        self.records[name] = record
        message = shorten(failure.message)
        log.warning("adapter_failed", name=name, reason=failure.reason.value, message=message, phase=record.phase.value)
        if record.phase is AdapterPhase.FAILED and failure.reason is not AdapterReason.LOAD_DEADLINE:
            self._files.delete(name)  # an overdue load may still read its files


def _reported_reason(record: AdapterRecord, *, full: bool) -> str:
    if full and record.phase is AdapterPhase.PENDING:
        return AdapterReason.NO_SLOT
    return record.failure.reason if record.failure is not None else ""
