"""The reconciler of each kind, with its dependencies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, Kind
from tunewright_operator.cluster import Cluster
from tunewright_operator.progress import HTTPTrainerProgress
from tunewright_operator.reconcile.adapter_deployment import AdapterDeploymentReconciler
from tunewright_operator.reconcile.base_model import BaseModelReconciler
from tunewright_operator.reconcile.fine_tune_job import FineTuneJobReconciler
from tunewright_operator.reconcile.model_server import ModelServerReconciler
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.fence import FencedServerPods
from tunewright_operator.runtime.runner import Reconcile
from tunewright_operator.runtime.server_board import ServerBoard
from tunewright_operator.runtime.term import Term
from tunewright_operator.serving import HTTPServerPods
from tunewright_operator.settings import Settings


@asynccontextmanager
async def open_reconcilers(cluster: Cluster, term: Term, settings: Settings) -> AsyncIterator[dict[Kind, Reconcile]]:
    """Open the connection pools that the reconcilers need, and yield the reconcilers by kind.

    They act only during the term; ``cluster`` is already fenced by it.
    """
    async with AsyncExitStack() as stack:
        progress = await stack.enter_async_context(HTTPTrainerProgress())
        pods = FencedServerPods(await stack.enter_async_context(HTTPServerPods()), term)
        keys, board = SigningKeys(cluster, settings.namespace), ServerBoard()
        yield {
            BASE_MODEL: BaseModelReconciler(cluster, settings.images, settings.namespace).reconcile,
            FINE_TUNE_JOB: FineTuneJobReconciler(cluster, progress, settings.images).reconcile,
            MODEL_SERVER: ModelServerReconciler(cluster, pods, keys, board, settings.images).reconcile,
            ADAPTER_DEPLOYMENT: AdapterDeploymentReconciler(cluster, keys, board, progress, settings.images).reconcile,
        }
