"""The running server pod: connects plan, access list, adapters, counters and output contracts."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import structlog

from tunewright_contracts.clients.access_list import ACCESS_KEY, AccessList
from tunewright_contracts.server_config import ServerConfig
from tunewright_contracts.serving_plan import PLAN_KEY, AccessState, PodState, Route, ServingPlan
from tunewright_server import logs
from tunewright_server.access.callers import Callers
from tunewright_server.access.keeper import AccessKeeper
from tunewright_server.adapters.engine import Engine, VllmEngine
from tunewright_server.adapters.local_adapters import AdapterLimits, AdapterSourcePort
from tunewright_server.adapters.pool import AdapterPool
from tunewright_server.adapters.store import StoredAdapters
from tunewright_server.auth import OperatorKey
from tunewright_server.kept_document import DocumentIntake, Offer
from tunewright_server.message_limits import fit_state
from tunewright_server.output_contract.checker import ProcessChecker
from tunewright_server.plan import PlanKeeper
from tunewright_server.settings import Settings
from tunewright_server.telemetry import memory, metrics
from tunewright_server.telemetry.counters import Counters
from tunewright_server.telemetry.load import LoadMeter, read_waiting
from tunewright_storage import base_shapes, redaction
from tunewright_storage.object_store import ObjectStore
from tunewright_storage.quoting import shorten

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0


class Runtime:
    """The state behind the middleware, on one event loop from `start` to `stop`."""

    def __init__(self, settings: Settings, config: ServerConfig, engine: Engine, source: AdapterSourcePort) -> None:
        self.config = config
        self.boot_id = uuid.uuid4().hex
        self.key = OperatorKey(settings.public_key_path)
        self.counters = Counters()
        self.checker = ProcessChecker()
        self.refusals: dict[str, int] = {}
        self.routes: dict[str, Route] = {}
        self.callers: Callers | None = None
        self.allowed_origins: frozenset[str] = frozenset()
        self.structured_outputs = False
        self._settings = settings
        self._plans = DocumentIntake(
            PlanKeeper(self.key, config.server_uid, config.base_model.digest, settings.stored_plan_path),
            settings.plan_directory / PLAN_KEY,
            self._apply_plan,
        )
        self._lists = DocumentIntake(
            AccessKeeper(self.key, config.server_uid, settings.stored_access_path),
            settings.access_directory / ACCESS_KEY,
            self._apply_access,
        )
        self._changed = asyncio.Event()
        self._ready = False
        limits = AdapterLimits(
            base_digest=config.base_model.digest,
            base=base_shapes.read_base_shapes(settings.base_model_folder),
            max_rank=config.max_rank,
            slots=config.max_adapters + config.rollout_slots,
            timeout_seconds=config.adapter_load_timeout_seconds,
        )
        self.load = LoadMeter(self.boot_id, engine.read_capacity, read_waiting)
        self.pool = AdapterPool(settings.adapters_folder, source, engine, limits, wake=self._changed.set)
        self._task: asyncio.Task[None] | None = None
        self._unregister: Callable[[], None] = lambda: None

    @classmethod
    def from_environment(cls, app: Any) -> Runtime:
        """Build the runtime of a pod around vLLM's app."""
        logs.configure()  # vLLM's process is not the one that `__main__` configured
        redaction.install()
        settings = Settings.from_environment()
        config = ServerConfig.from_json(settings.config_path.read_bytes())
        return cls(settings, config, VllmEngine(app), StoredAdapters(ObjectStore.from_environment()))

    async def start(self) -> None:
        """Read the plan and the access list in force, from disk and from the mount, and start to converge."""
        collector = metrics.ServerCollector(
            self.counters, self.refusals, self.pool.states, self.load.read, lambda: self.plan_generation
        )
        self._unregister = metrics.register(collector)
        await self._lists.restore()
        await self._plans.restore()
        await self._read_mounted()
        await asyncio.to_thread(self.pool.delete_leftovers)
        self._task = asyncio.create_task(self._run(), name="tunewright-converge")
        log.info("runtime_started", server=self.config.name, boot_id=self.boot_id, generation=self.plan_generation)

    async def stop(self) -> None:
        """Stop converging, and stop the worker; adapters stay loaded until the process ends."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.pool.close()
        await self.checker.close()
        self._unregister()

    @property
    def plan_generation(self) -> int:
        """Return the generation in force, 0 for none."""
        return self._plans.keeper.generation

    @property
    def access_generation(self) -> int:
        """Return the generation of the access list in force, 0 for none."""
        return self._lists.keeper.generation

    @property
    def is_ready(self) -> bool:
        """Return whether this pod has had settled adapters and a list of clients since it started.

        Later loads do not make it unready.
        """
        self._ready = self._ready or (self.pool.is_settled() and self.callers is not None)
        return self._ready

    async def offer_plan(self, text: bytes) -> Offer:
        """Judge a pushed plan, and start to apply it."""
        return await self._plans.offer(text)

    async def offer_access(self, text: bytes) -> Offer:
        """Judge a pushed access list, and apply it to the requests that come from now on."""
        return await self._lists.offer(text)

    def count_refusal(self, code: str) -> None:
        """Count a request that reached no adapter."""
        self.refusals[code] = self.refusals.get(code, 0) + 1

    def state(self) -> PodState:
        """Return what the pod reports about itself."""
        bucketed = frozenset(alias for alias, route in self.routes.items() if route.count_by_key_bucket)
        plan, access = self._plans.keeper, self._lists.keeper
        state = PodState(
            pod_uid=self._settings.pod_uid,
            boot_id=self.boot_id,
            plan_generation=self.plan_generation,
            plan_hash=plan.current_hash,
            plan_status=plan.last.status,
            plan_message=shorten(plan.last.message),
            settled=self.pool.is_settled(),
            access=AccessState(
                generation=access.generation,
                hash=access.current_hash,
                status=access.last.status,
                message=shorten(access.last.message),
            ),
            adapters=self.pool.states(),
            counters=self.counters.snapshot(bucketed),
            peak_memory_mebibytes=memory.read_peak_mebibytes(),
        )
        return fit_state(state)

    def _apply_plan(self, plan: ServingPlan) -> None:
        self.routes = {route.alias: route for route in plan.routes}
        self.allowed_origins = frozenset(plan.allowed_origins or ())
        self.structured_outputs = bool(plan.structured_outputs)
        self.load.share_percent = plan.evaluation_share_percent
        self.pool.set_plan(plan)
        named = {adapter.name for adapter in plan.adapters}
        named |= {target.name for route in plan.routes for target in route.targets}
        self.counters.keep(frozenset(named))
        self._changed.set()

    def _apply_access(self, access: AccessList) -> None:
        self.callers = Callers(access)

    async def _read_mounted(self) -> None:
        await self._lists.read_mounted()
        await self._plans.read_mounted()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._read_mounted()
                await self.pool.step()
            except Exception:
                # The loop must continue after any error: otherwise the pod would stay on its old plan.
                log.exception("converge_failed")
            _ = self.is_ready
            wake = self.pool.next_wake()
            timeout = _POLL_SECONDS if wake is None else min(_POLL_SECONDS, max(wake, 0.01))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
