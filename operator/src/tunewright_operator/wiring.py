"""The reconciler of each kind, with its dependencies."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    Kind,
)
from tunewright_operator.cluster import Cluster
from tunewright_operator.progress import HTTPTrainerProgress
from tunewright_operator.reconcile.adapter_deployment import AdapterDeploymentReconciler
from tunewright_operator.reconcile.base_model import BaseModelReconciler
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.fine_tune_job import FineTuneJobReconciler
from tunewright_operator.reconcile.model_client import ModelClientReconciler
from tunewright_operator.reconcile.model_server import ModelServerReconciler
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.fence import FencedServerPods
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.access_board import AccessBoard
from tunewright_operator.runtime.polling.poller import Poller
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.runtime.polling.server_board import ServerBoard, Wake
from tunewright_operator.runtime.polling.server_polls import ServerPolls
from tunewright_operator.runtime.runner import Reconcile
from tunewright_operator.runtime.term import Term
from tunewright_operator.serving import HTTPServerPods
from tunewright_operator.settings import Settings
from tunewright_operator.store.reads import Reads
from tunewright_operator.store.store import Store


@dataclasses.dataclass(frozen=True)
class Reconcilers:
    """The reconciler of each kind."""

    by_kind: Mapping[Kind, Reconcile]
    forget: Callable[[Key], None]
    """Called when a resource was deleted: its pods are not polled any more."""


@asynccontextmanager
async def open_reconcilers(
    cluster: Cluster, store: Store, term: Term, settings: Settings, wake: Wake
) -> AsyncIterator[Reconcilers]:
    """Open the connection pools that the reconcilers need, poll the pods, and yield the reconcilers.

    They act only during the term; ``cluster`` is already fenced by it, and puts its answers into the store. ``wake`` is
    called when a pod's answer concerns a resource.
    """
    defaults, allowed = settings.pod_defaults, settings.allowed_scheduling
    async with AsyncExitStack() as stack:
        pods = FencedServerPods(await stack.enter_async_context(HTTPServerPods()), term)
        expiry = JobExpiry(cluster, settings.keep_finished_jobs_seconds)
        progress = await stack.enter_async_context(HTTPTrainerProgress())
        keys, board, reads = SigningKeys(cluster, settings.namespace), ServerBoard(wake), Reads(store, cluster)
        poller = await stack.enter_async_context(_run_poller(term))
        servers, trainers = ServerPolls(pods, board, poller), ProgressPolls(progress, poller, wake)
        evaluators = ProgressPolls(progress, poller, wake, kind="evaluator")
        clients = AccessBoard(wake)
        model_servers = ModelServerReconciler(
            cluster,
            reads,
            pods,
            servers,
            keys=keys,
            board=board,
            clients=clients,
            defaults=defaults,
            allowed_scheduling=allowed,
        )
        rollouts = AdapterDeploymentReconciler(
            cluster, reads, keys, board, evaluators=evaluators, defaults=defaults, expiry=expiry
        )
        by_kind: dict[Kind, Reconcile] = {
            BASE_MODEL: BaseModelReconciler(cluster, reads, defaults, settings.namespace, expiry=expiry).reconcile,
            FINE_TUNE_JOB: FineTuneJobReconciler(
                cluster, reads, trainers, defaults, allowed_scheduling=allowed, expiry=expiry
            ).reconcile,
            MODEL_SERVER: model_servers.reconcile,
            ADAPTER_DEPLOYMENT: rollouts.reconcile,
            MODEL_CLIENT: ModelClientReconciler(cluster, reads, clients).reconcile,
        }

        def forget(key: Key) -> None:
            model_servers.forget(key)
            trainers.forget(key)
            evaluators.forget(key)

        yield Reconcilers(by_kind, forget)


@asynccontextmanager
async def _run_poller(term: Term) -> AsyncIterator[Poller]:
    """Run a poller. If it fails, the operator ends: no loop would notice that its pods are not read any more."""
    poller = Poller(is_leading=lambda: term.seconds_left() > 0)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(poller.run(), name="poller")
        try:
            yield poller
        finally:
            task.cancel()
