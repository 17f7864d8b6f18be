"""Which reconciler serves which kind, and what each needs: the one place that knows all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB, Kind
from tunewright_operator.cluster import Cluster
from tunewright_operator.progress import HTTPTrainerProgress
from tunewright_operator.reconcile.base_model import BaseModelReconciler
from tunewright_operator.reconcile.fine_tune_job import FineTuneJobReconciler
from tunewright_operator.runtime.runner import Reconcile
from tunewright_operator.settings import Settings


@asynccontextmanager
async def open_reconcilers(cluster: Cluster, settings: Settings) -> AsyncIterator[dict[Kind, Reconcile]]:
    """Open the connection pools that reconcilers need and yield the reconcilers by kind."""
    async with AsyncExitStack() as stack:
        trainers = await stack.enter_async_context(HTTPTrainerProgress())
        yield {
            BASE_MODEL: BaseModelReconciler(cluster, settings.images, settings.namespace).reconcile,
            FINE_TUNE_JOB: FineTuneJobReconciler(cluster, trainers, settings.images).reconcile,
        }
