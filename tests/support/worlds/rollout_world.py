"""A whole rollout without a cluster: pure functions connect one deployment, the plan, pods and clients."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from support.clusters.fake_cluster import Clock
from support.clusters.fake_pods import FakePod
from tunewright_contracts.adapter_manifest import revision_name
from tunewright_contracts.evaluation_report import EvaluationReport, Verdict
from tunewright_contracts.phase_result import AdapterSummary, PhaseResult
from tunewright_contracts.phase_result import Outcome as RunOutcome
from tunewright_contracts.serving_plan import ServingPlan
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.evaluation.job import evaluation_name
from tunewright_operator.domain.rollout.jobs import SelectableJob
from tunewright_operator.domain.rollout.observation import (
    Decision,
    EvaluationRun,
    Seen,
    Situation,
    UnrecordedEvidence,
    Unseen,
)
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.claim import Refusals, ServerView, build_tenant
from tunewright_operator.domain.serving.plan import PlanDecision, build_plan, report_pod
from tunewright_operator.domain.serving.replica import ServerFacts, build_server_facts, view_pod

BASE_DIGEST = "sha256:" + "b" * 64
DEFAULT_STEPS: list[dict[str, Any]] = [
    {"evaluate": {}},
    {"setWeight": 20},
    {"observe": {"minRequests": 40, "maxSeconds": 600}},
    {"pause": {}},
    {"setWeight": 50},
    {"observe": {"minRequests": 40, "maxSeconds": 600}},
]


def digest_of(word: str) -> str:
    return f"sha256:{hashlib.sha256(word.encode()).hexdigest()}"


def revision_of(word: str, alias: str = "support") -> str:
    return revision_name(alias, digest_of(word))


def make_server(**changes: Any) -> ServerView:
    values: dict[str, Any] = {
        "uid": "server-uid",
        "namespace": "serving",
        "served_base_name": "smollm2",
        "base_model_digest": BASE_DIGEST,
        "max_rank": 32,
        "max_adapters": 4,
        "rollout_slots": 2,
        "sources": SourcePolicy("serving", ("s3://models/{namespace}/",)),
    }
    return ServerView(**(values | changes))


def make_deployment_body(clock: Clock, steps: list[dict[str, Any]] | None = None, **rollout: Any) -> dict[str, Any]:
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "AdapterDeployment",
        "metadata": {
            "name": "support",
            "namespace": "team",
            "uid": "deployment-uid",
            "creationTimestamp": clock.text,
            "generation": 1,
            "annotations": {},
        },
        "spec": {
            "modelName": "support",
            "serverRef": {"name": "pool", "namespace": "serving"},
            "adapter": {"uri": "s3://models/team/none"},
            "storage": {"secretRef": {"name": "s3"}},
            "rollout": {"steps": DEFAULT_STEPS if steps is None else steps, "bakeSeconds": 120, **rollout},
            "analysis": {
                "metrics": [
                    {"type": "ErrorRate", "maxRegression": "0.01"},
                    {"type": "OutputContract", "maxRegression": "0.02", "minimum": "0.5"},
                ]
            },
        },
        "status": {},
    }


def make_situation(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **facts: Any) -> Situation:
    """Return one observation of a deployment whose Secret is allowed,
    on a server without refusals and without pods.
    """
    body = make_deployment_body(Clock())
    body["spec"] |= spec or {}
    body["status"] = status or {}
    server = Seen(ServerFacts(generation=1, targets=None, pods=()), "server-uid", "http://pool.serving.svc:8000")
    values: dict[str, Any] = {"server": server, "storage": StorageFacts(secret=UseFacts(exists=True, allowed=True))}
    return Situation(AdapterDeployment.from_body(body), **(values | facts))


READING_SECONDS = 30.0
"""The longest time between two reconciliations of a `RolloutWorld` while its clock advances."""


class WatchedClock(Clock):
    """Virtual time in which an operator works: it reconciles at least every 30 seconds while the clock advances."""

    def __init__(self, reconcile: Callable[[], object]) -> None:
        super().__init__()
        self._reconcile = reconcile

    def advance(self, seconds: float) -> None:
        while seconds > READING_SECONDS:
            super().advance(READING_SECONDS)
            seconds -= READING_SECONDS
            self._reconcile()
        super().advance(seconds)

    def skip(self, seconds: float) -> None:
        """Advance while no operator works."""
        super().advance(seconds)


class RolloutWorld:
    """`body` is the object on the API server; everything else is computed again in each reconciliation."""

    def __init__(self, steps: list[dict[str, Any]] | None = None, *, pods: int = 2, **rollout: Any) -> None:
        self.clock = WatchedClock(self.step)
        self.body = make_deployment_body(self.clock, steps, **rollout)
        self.server = make_server()
        self.plan: ServingPlan | None = None
        self.refusals: dict[str, Refusals] = {}
        self.pods = [FakePod(f"pod-{index}") for index in range(pods)]
        self.jobs: list[SelectableJob] = []
        self.evaluations: list[EvaluationRun] = []
        self.notices: list[tuple[str, str]] = []
        self.unrecorded: UnrecordedEvidence | None = None
        """What the operator remembers; a restart loses it."""

    @property
    def deployment(self) -> AdapterDeployment:
        return AdapterDeployment.from_body(orjson.loads(orjson.dumps(self.body)))

    @property
    def now(self) -> dt.datetime:
        return self.clock()

    def name_adapter(self, word: str) -> None:
        self.body["spec"]["adapter"] = {"uri": f"s3://models/team/{word}"}

    def select_jobs(self, *jobs: SelectableJob) -> None:
        """Let the spec select jobs by a label, and let these exist."""
        self.body["spec"]["adapter"] = {"fineTuneJobSelector": {"matchLabels": {"app": "support"}}}
        self.jobs = [*jobs]

    def annotate(self, verb: str, word: str, nonce: str = "1") -> None:
        self.body["metadata"]["annotations"][f"tunewright.dev/{verb}"] = f"{revision_of(word)}@{nonce}"

    def inspection(self) -> JobRun | None:
        """Return the finished Job that read the manifest at the spec's URI; None if the spec has no URI."""
        uri = self.body["spec"]["adapter"].get("uri")
        if uri is None:
            return None
        word = uri.rsplit("/", 1)[-1]
        summary = AdapterSummary(
            uri=uri,
            digest=digest_of(word),
            rank=16,
            bytes=1,
            base_model_digest=BASE_DIGEST,
            evaluation_dataset_uri="s3://models/team/evaluation.jsonl",
        )
        result = PhaseResult(outcome=RunOutcome.SUCCEEDED, reason="Inspected", message="", adapter=summary)
        if word == "none":
            result = PhaseResult(outcome=RunOutcome.FAILED, reason="NotFound", message="nothing there")
        return JobRun("inspection", "inspection-uid", RunState.SUCCEEDED, pod=PodRun("pod", "pod-uid", result=result))

    def observe_server(self) -> Unseen | Seen:
        if self.plan is None:
            return Unseen()
        views = [
            view_pod(pod.uid, pod.uid, ready=pod.ready, state=pod.state() if pod.reachable else None, read_at=self.now)
            for pod in self.pods
        ]
        refusals = self.refusals.get("deployment-uid")
        facts = build_server_facts("deployment-uid", "support", self.plan, views, refusals)
        return Seen(facts, "server-uid", "http://pool.serving.svc:8000")

    def situation(self) -> Situation:
        return Situation(
            self.deployment,
            self.observe_server(),
            jobs=tuple(self.jobs),
            storage=StorageFacts(secret=UseFacts(exists=True, allowed=True)),
            inspection=self.inspection(),
            evaluations=tuple(self.evaluations),
            unrecorded=self.unrecorded,
        )

    def restart_operator(self) -> None:
        self.unrecorded = None

    def decide(self) -> Decision:
        """Decide without writing, as an operator that is killed before its write."""
        return decide(self.situation(), self.now)

    def step(self) -> Decision:
        decision = self.decide()
        self.body["status"] = decision.status.to_status()
        self.unrecorded = decision.unrecorded or self.unrecorded
        self.notices += [(notice.reason.value, notice.message) for notice in decision.notices]
        return decision

    def shares(self) -> dict[str, int]:
        """Return the weights of the alias' targets in the plan, by revision."""
        assert self.plan is not None
        return {target.name: target.weight for target in self.plan.routes[0].targets}

    @property
    def stable(self) -> str:
        """The name of the stable revision."""
        found = self.deployment.status.stable
        assert found is not None
        return found.revision

    def plan_next(self) -> PlanDecision:
        states = [pod.state() for pod in self.pods if pod.reachable]
        tenant = build_tenant(self.deployment, namespace_allowed=True, previous=self.plan, states=states)
        decision = build_plan(self.server, [tenant], self.plan, [report_pod(state) for state in states])
        self.plan, self.refusals = decision.plan, dict(decision.refusals)
        return decision

    def push(self) -> None:
        for pod in self.pods:
            if pod.reachable and self.plan is not None:
                pod.apply(self.plan)

    def settle(self, rounds: int = 40) -> Decision:
        """Run both loops until nothing changes."""
        decision = self.step()
        for _ in range(rounds):
            before = self.fingerprint()
            self.plan_next()
            self.push()
            decision = self.step()
            if not decision.again and self.fingerprint() == before:
                break
        return decision

    def fingerprint(self) -> tuple[bytes, ServingPlan | None]:
        """Return everything except the number of polls, which counts reconciliations and not changes."""
        body = orjson.loads(orjson.dumps(self.body))
        (body["status"].get("candidate") or {}).get("observation", {}).pop("polls", None)
        return orjson.dumps(body), self.plan

    def finish_evaluation(self, verdict: Verdict, message: str = "exact match 0.9 against 0.8") -> None:
        candidate = self.deployment.status.candidate
        assert candidate is not None
        report = EvaluationReport(verdict=verdict, reason=verdict.value, message=message, candidate=candidate.revision)
        name = evaluation_name(self.deployment, candidate)
        run = JobRun(name, f"{name}-uid", RunState.SUCCEEDED, ended_at=self.now)
        self.evaluations = [item for item in self.evaluations if item.run.name != name] + [EvaluationRun(run, report)]

    def ask(self, count: int, bad: dict[str, set[str]] | None = None, start: int = 0) -> list[str | None]:
        """Send one request per session to the ready pods in turn; `bad`: revision → metrics that it fails."""
        ready = [pod for pod in self.pods if pod.ready]
        answers = []
        for index in range(count if ready else 0):
            pod = ready[index % len(ready)]
            answers.append(pod.ask("support", f"session-{start + index}", lambda name: (bad or {}).get(name, set())))
        return answers

    def ask_arm(self, word: str, count: int, bad: set[str] | None = None, start: int = 0) -> None:
        """Send one request per session, only in sessions that one revision answers."""
        name, sent, session = revision_of(word), 0, start
        while sent < count:
            pod = self.pods[session % len(self.pods)]
            if pod.choose("support", f"session-{session}") == name:
                pod.ask("support", f"session-{session}", lambda _: bad or set())
                sent += 1
            session += 1

    def promote_first(self, word: str) -> None:
        """Promote a revision through all its steps."""
        self.name_adapter(word)
        for _ in range(60):
            self.settle()
            candidate = self.deployment.status.candidate
            if candidate is None:
                break
            if candidate.step < len(self.deployment.spec.rollout.steps):
                kind = self.deployment.spec.rollout.steps[candidate.step]
                if kind.evaluate is not None:
                    self.finish_evaluation(Verdict.PASS)
                elif kind.observe is not None:
                    self.ask(kind.observe.min_requests)
                elif kind.pause is not None:
                    self.annotate("promote", word, f"first-{candidate.step}")
            self.clock.advance(130)
        stable = self.deployment.status.stable
        assert stable is not None, self.deployment.status
        assert stable.revision == revision_of(word)
