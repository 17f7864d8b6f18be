"""A small world for the BaseModel and FineTuneJob loops: a namespace with a job, its prerequisites, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.clusters.fake_cluster import Clock, Crash, FakeCluster
from support.clusters.fake_jobs import NAMESPACE, FakeJobs
from support.clusters.feeds import StoreFeed
from support.crds.status import check_status
from support.worlds.driven_poller import DrivenPoller
from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.phase_result import AdapterSummary, BaseModelSummary, DatasetSummary, Outcome, PhaseResult
from tunewright_contracts.progress import Phase, Progress
from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB
from tunewright_operator.cluster import ConflictError
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.reconcile.base_model import BaseModelReconciler
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.fine_tune_job import FineTuneJobReconciler
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.runtime.runner import GoneError

DEFAULTS = PodDefaults(operator="operator:1", trainer="trainer:1", server="server:1")
KEEP_SECONDS = 3600
DIGEST = "sha256:" + "a" * 64
NAME = "tickets"
KEY = Key(FINE_TUNE_JOB, NAMESPACE, NAME)
PREPARE = f"{NAME}-prepare-1"
TRAIN_1, TRAIN_2 = f"{NAME}-train-1", f"{NAME}-train-2"

DATASET = DatasetSummary(digest=DIGEST, uri="s3://bucket/out/datasets/x", train=80, validation=5, evaluation=15)
ADAPTER = AdapterSummary(
    uri="s3://bucket/out/sha256-" + "b" * 64,
    digest="sha256:" + "b" * 64,
    rank=16,
    bytes=1000,
    base_model_digest=DIGEST,
    evaluation_dataset_uri="s3://bucket/out/datasets/x/evaluation.jsonl",
)


def prepared() -> PhaseResult:
    return PhaseResult(outcome=Outcome.SUCCEEDED, reason="Prepared", message="", dataset=DATASET)


def published() -> PhaseResult:
    scores = (Score(type="ExactMatch", base=0.1, tuned=0.875, samples=15),)
    return PhaseResult(outcome=Outcome.SUCCEEDED, reason="Published", message="", adapter=ADAPTER, scores=scores)


def failed(reason: str, message: str, *, retryable: bool = False) -> PhaseResult:
    return PhaseResult(outcome=Outcome.RETRYABLE if retryable else Outcome.FAILED, reason=reason, message=message)


def inspected() -> PhaseResult:
    summary = BaseModelSummary(digest=DIGEST, revision="abc", bytes=10, files=3)
    return PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", base_model=summary)


def progress(step: int, phase: Phase = Phase.TRAINING, attempt: int = 1) -> Progress:
    return Progress(
        phase=phase, attempt=attempt, step=step, total_steps=100, train_loss=1.25, updated_at="2026-01-01T00:00:00Z"
    )


class FakeTrainers:
    """The trainer pods' progress, by IP address."""

    def __init__(self) -> None:
        self.answers: dict[str, Progress] = {}
        self.asked = 0

    async def fetch(self, ip: str) -> Progress | None:
        self.asked += 1
        return self.answers.get(ip)


class World:
    """A cluster with an operator; `settle` runs the operator until it has nothing left to do now."""

    def __init__(
        self, *, ready_base_model: bool = True, feed: Callable[[FakeCluster], StoreFeed] = StoreFeed, **spec: Any
    ) -> None:
        self.clock = Clock()
        self.cluster = FakeCluster(self.clock)
        self.jobs = FakeJobs(self.cluster)
        self.trainers = FakeTrainers()
        self.feed = feed(self.cluster)
        self.restart_operator()
        self.cluster.put(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"team": "a"}}}
        )
        self.put_secret()
        self.put_base_model(ready=ready_base_model)
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "FineTuneJob",
                "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": spec.pop("labels", {})},
                "spec": {
                    "baseModelRef": {"name": "smol"},
                    "storage": {"secretRef": {"name": "s3"}},
                    "dataset": {"sources": [{"name": "tickets", "s3": {"uri": "s3://bucket/data/"}}]},
                    "output": {"uri": "s3://bucket/out"},
                    "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}},
                    **spec,
                },
            }
        )

    def restart_operator(self) -> None:
        self.feed.restart()
        self.polls = DrivenPoller(self.clock)
        trainers = ProgressPolls(self.trainers, self.polls.poller, self.polls.wake)
        expiry = JobExpiry(self.feed.cluster, KEEP_SECONDS)
        self.reconciler = FineTuneJobReconciler(
            self.feed.cluster, self.feed.reads, trainers, DEFAULTS, expiry=expiry, now=self.clock
        )

    def put_secret(self, *, allowed: bool = True) -> None:
        labels = {"tunewright.dev/use": "allowed"} if allowed else {}
        metadata = {"name": "s3", "namespace": NAMESPACE, "labels": labels}
        self.cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"AWS_REGION": "eA=="}})

    def put_base_model(self, *, ready: bool = True, **spec: Any) -> None:
        condition = {"type": "Ready", "status": "True", "reason": "Inspected", "lastTransitionTime": self.clock.text}
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "BaseModel",
                "metadata": {"name": "smol"},
                "spec": {"source": {"s3": {"uri": "s3://bucket/models/smol"}}, "contextLength": 2048, **spec},
                "status": {"digest": DIGEST, "conditions": [condition]} if ready else {},
            }
        )

    @property
    def body(self) -> dict[str, Any]:
        return self.cluster.peek(FINE_TUNE_JOB, NAMESPACE, NAME)

    @property
    def status(self) -> dict[str, Any]:
        return self.body.get("status", {})

    def condition(self, condition_type: str) -> dict[str, Any] | None:
        return next((item for item in self.status.get("conditions", []) if item["type"] == condition_type), None)

    def edit_spec(self, **fields: Any) -> None:
        def change(body: dict[str, Any]) -> None:
            body["spec"] |= fields

        self.cluster.edit(FINE_TUNE_JOB, NAMESPACE, NAME, change)

    async def settle(self, limit: int = 60) -> float | None:
        """Reconcile until nothing is written and no immediate retry is wanted; a crash restarts the operator."""
        for _ in range(limit):
            before = len(self.cluster.writes)
            self.feed.step()
            try:
                await self.polls.poller.poll_due()
                self.polls.take_woken()
                again = await self.reconciler.reconcile(KEY)
                await self.polls.poller.poll_due()
            except Crash:
                self.restart_operator()
                continue
            except ConflictError:
                continue
            except GoneError:
                if await self.feed.catch_up():
                    continue
                return None
            is_quiet = len(self.cluster.writes) == before and again != 0 and not self.polls.woken
            if is_quiet and not await self.feed.catch_up():
                check_status(FINE_TUNE_JOB, self.status)
                return again
        raise AssertionError(f"the operator does not settle: {self.cluster.writes[-6:]}")

    async def pass_time(self, seconds: float) -> float | None:
        self.clock.advance(seconds)
        return await self.settle()

    async def prepare(self) -> None:
        """Advance the job to its first train Job."""
        await self.settle()
        self.jobs.start(f"{NAME}-prepare-1")
        await self.pass_time(10)
        self.jobs.finish(f"{NAME}-prepare-1", prepared())
        await self.settle()

    async def train(self, attempt: int = 1) -> None:
        """Set an attempt's pod to Running."""
        self.jobs.start(f"{NAME}-train-{attempt}")
        await self.settle()


class BaseModelWorld:
    """A single BaseModel; its inspection runs in the operator's namespace."""

    def __init__(self, **spec: Any) -> None:
        self.clock = Clock()
        self.cluster = FakeCluster(self.clock)
        self.jobs = FakeJobs(self.cluster, "tunewright-system")
        self.feed = StoreFeed(self.cluster)
        cluster, reads, expiry = self.feed.cluster, self.feed.reads, JobExpiry(self.feed.cluster, KEEP_SECONDS)
        self.reconciler = BaseModelReconciler(
            cluster, reads, DEFAULTS, "tunewright-system", expiry=expiry, now=self.clock
        )
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "BaseModel",
                "metadata": {"name": "smol"},
                "spec": {"source": {"s3": {"uri": "s3://bucket/models/smol"}}, "contextLength": 2048, **spec},
            }
        )

    @property
    def body(self) -> dict[str, Any]:
        return self.cluster.peek(BASE_MODEL, None, "smol")

    def condition(self, condition_type: str) -> dict[str, Any] | None:
        conditions = self.body.get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == condition_type), None)

    async def settle(self) -> float | None:
        for _ in range(20):
            before = len(self.cluster.writes)
            try:
                again = await self.reconciler.reconcile(Key(BASE_MODEL, None, "smol"))
            except Crash:
                continue
            except GoneError:
                return None
            if len(self.cluster.writes) == before and again != 0:
                check_status(BASE_MODEL, self.body.get("status", {}))
                return again
        raise AssertionError("the operator does not settle")
