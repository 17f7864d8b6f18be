"""A small world for the ModelServer and AdapterDeployment loops: a pool of fake pods, tenants, jobs and a clock."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from support.clusters.fake_cluster import Clock, Crash, FakeCluster
from support.clusters.fake_deployments import FakeDeployments
from support.clusters.fake_jobs import FakeJobs
from support.clusters.fake_pods import FakeServerPods
from support.clusters.feeds import StoreFeed
from support.crds.status import check_status
from support.worlds.driven_poller import DrivenPoller
from support.worlds.job_worlds import DEFAULTS, KEEP_SECONDS, FakeTrainers
from support.worlds.rollout_world import BASE_DIGEST, READING_SECONDS, digest_of, revision_of
from tunewright_contracts.evaluation_report import ArmAnswers, EvaluationReport, EvaluationRequest, Verdict
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET, ServingPlan
from tunewright_contracts.stored_answers import AnswerRecord
from tunewright_evaluator.answer_store import build_conditions
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    CONFIG_MAP,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
)
from tunewright_operator.api.resource import ResourceError
from tunewright_operator.cluster import Body, ConflictError
from tunewright_operator.reconcile.adapter_deployment import AdapterDeploymentReconciler
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.model_client import ModelClientReconciler
from tunewright_operator.reconcile.model_server import ModelServerReconciler
from tunewright_operator.reconcile.report import FailureReporter
from tunewright_operator.reconcile.signing_keys import SIGNING_KEY_SECRET, SigningKeys
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.access_board import AccessBoard
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.runtime.polling.server_board import ServerBoard
from tunewright_operator.runtime.polling.server_polls import ServerPolls
from tunewright_operator.runtime.runner import GoneError

SERVING, SUPPORT = "serving", "support"
STEPS: list[dict[str, Any]] = [
    {"evaluate": {}},
    {"setWeight": 20},
    {"observe": {"minRequests": 40, "maxSeconds": 600}},
    {"setWeight": 50},
    {"observe": {"minRequests": 40, "maxSeconds": 600}},
]


class ServingWorld:
    """`settle` runs controllers and operator until nothing changes; `pass_time` advances the clock and settles."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        pods: FakeServerPods | None = None,
        feed: Callable[[FakeCluster], StoreFeed] = StoreFeed,
        **server: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.cluster = FakeCluster(self.clock)
        self.cluster.readable_secrets.add(SIGNING_KEY_SECRET)
        self.jobs = FakeJobs(self.cluster, SUPPORT)
        self.pods = pods or FakeServerPods()
        self.pool = FakeDeployments(self.cluster, self.pods, SERVING)
        self.evaluators = FakeTrainers()
        self.sessions = 0
        self.crashes = 0
        self.again = False
        """Whether a loop is to reconcile again at once, because of a conflict."""
        self.feed = feed(self.cluster)
        self.restart_operator()
        for namespace in (SERVING, SUPPORT, "other"):
            self.cluster.put(
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": namespace, "labels": {"team": namespace}},
                }
            )
            self.put_secret(namespace)
        self.put_base_model()
        self.put_server(**server)

    # What users create ----------------------------------------------------------------------------------------

    def put_secret(self, namespace: str, *, allowed: bool = True) -> None:
        labels = {"tunewright.dev/use": "allowed"} if allowed else {}
        self.cluster.put(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3", "namespace": namespace, "labels": labels}}
        )

    def put_base_model(self, digest: str = BASE_DIGEST) -> None:
        condition = {"type": "Ready", "status": "True", "reason": "Inspected", "lastTransitionTime": self.clock.text}
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "BaseModel",
                "metadata": {"name": "smollm2"},
                "spec": {"source": {"s3": {"uri": "s3://models/smollm2"}}, "contextLength": 2048},
                "status": {"digest": digest, "conditions": [condition]} if digest else {},
            }
        )

    def put_server(self, **spec: Any) -> None:
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "ModelServer",
                "metadata": {"name": "pool", "namespace": SERVING},
                "spec": {
                    "baseModelRef": {"name": "smollm2"},
                    "replicas": 2,
                    "lora": {"maxRank": 16, "maxAdapters": 2, "rolloutSlots": 1, "maxActiveAdapters": 2},
                    "storage": {"secretRef": {"name": "s3"}},
                    "allowedNamespaces": {"from": "All"},
                    "adapterSources": [{"uriPrefix": "s3://models/adapters/{namespace}/"}],
                    **spec,
                },
                "status": {},
            }
        )

    def put_job(self, word: str, *, namespace: str = SUPPORT, finished: bool = True, **adapter: Any) -> None:
        condition = {
            "type": "Succeeded",
            "status": "True" if finished else "Unknown",
            "reason": "Succeeded" if finished else "Training",
            "lastTransitionTime": self.clock.text,
        }
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "FineTuneJob",
                "metadata": {"name": word, "namespace": namespace, "labels": {"app": "triage"}},
                "spec": {
                    "baseModelRef": {"name": "smollm2"},
                    "storage": {"secretRef": {"name": "s3"}},
                    "dataset": {"sources": [{"name": "t", "s3": {"uri": "s3://models/data/"}}]},
                    "output": {"uri": f"s3://models/adapters/{namespace}"},
                },
                "status": {
                    "conditions": [condition],
                    "phase": "Succeeded",
                    "completionTime": self.clock.text,
                    "adapter": {
                        "uri": f"s3://models/adapters/{namespace}/{word}",
                        "digest": digest_of(word),
                        "rank": 16,
                        "bytes": 1,
                        "baseModelDigest": BASE_DIGEST,
                        "evaluationDatasetURI": f"s3://models/adapters/{namespace}/evaluation.jsonl",
                        **adapter,
                    },
                },
            }
        )

    def finish_job(self, word: str) -> None:
        """Let a job that was put unfinished succeed."""

        def change(body: Body) -> None:
            body["status"]["conditions"][0].update(status="True", reason="Succeeded")
            body["status"]["completionTime"] = self.clock.text

        self.cluster.edit(FINE_TUNE_JOB, SUPPORT, word, change)

    def put_deployment(self, name: str = "support", *, namespace: str = SUPPORT, **spec: Any) -> None:
        self.cluster.put(
            {
                "apiVersion": "tunewright.dev/v1alpha1",
                "kind": "AdapterDeployment",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "modelName": "support",
                    "serverRef": {"name": "pool", "namespace": SERVING},
                    "adapter": {"fineTuneJobSelector": {"matchLabels": {"app": "triage"}}},
                    "storage": {"secretRef": {"name": "s3"}},
                    "rollout": {"steps": STEPS, "bakeSeconds": 60},
                    "evaluation": {"metrics": [{"type": "ExactMatch", "minimum": "0.5", "maxRegression": "0.05"}]},
                    "analysis": {
                        "metrics": [
                            {"type": "ErrorRate", "maxRegression": "0.01"},
                            {"type": "OutputContract", "maxRegression": "0.02"},
                            {"type": "Latency", "maxRatio": "1.5"},
                        ]
                    },
                    "outputContract": {"jsonSchema": {"type": "object"}},
                    **spec,
                },
                "status": {},
            }
        )

    def put_client(self, *keys: dict[str, Any], name: str = "web", namespace: str = SUPPORT, **spec: Any) -> None:
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": "tunewright.dev/v1alpha1", "kind": "ModelClient", "metadata": metadata, "status": {}}
        self.cluster.put({**body, "spec": {"keys": list(keys), "aliases": {"all": True}, **spec}})

    def edit_deployment(self, change: Any, name: str = "support", namespace: str = SUPPORT) -> None:
        self.cluster.edit(ADAPTER_DEPLOYMENT, namespace, name, change)

    def annotate(self, verb: str, word: str, nonce: str = "1") -> None:
        def change(body: Body) -> None:
            body["metadata"].setdefault("annotations", {})[f"tunewright.dev/{verb}"] = f"{revision_of(word)}@{nonce}"

        self.edit_deployment(change)

    # What the cluster does -------------------------------------------------------------------------------------

    def restart_operator(self) -> None:
        self.feed.restart()
        cluster, reads = self.feed.cluster, self.feed.reads
        self.polls = DrivenPoller(self.clock)
        board, keys = ServerBoard(self.polls.wake), SigningKeys(cluster, "tunewright-system")
        polls = ServerPolls(self.pods, board, self.polls.poller, now=self.clock)
        access = AccessBoard(self.polls.wake)
        self.servers = ModelServerReconciler(
            cluster,
            reads,
            self.pods,
            polls,
            keys=keys,
            board=board,
            clients=access,
            defaults=DEFAULTS,
            now=self.clock,
        )
        self.clients = ModelClientReconciler(cluster, reads, access, now=self.clock)
        evaluators = ProgressPolls(self.evaluators, self.polls.poller, self.polls.wake, kind="evaluator")
        expiry = JobExpiry(cluster, KEEP_SECONDS)
        self.rollouts = AdapterDeploymentReconciler(
            cluster, reads, keys, board, evaluators=evaluators, defaults=DEFAULTS, expiry=expiry, now=self.clock
        )

    @property
    def plan(self) -> ServingPlan:
        plan = self.pool.mounted_plan()
        assert plan is not None
        return plan

    def targets(self, alias: str = "support") -> dict[str, int]:
        route = next(route for route in self.plan.routes if route.alias == alias)
        return {target.name: target.weight for target in route.targets}

    # What the operator does ------------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Poll all pods, whatever their intervals."""
        await self.polls.poll(pod["metadata"]["uid"] for pod in self.pool.pods())

    async def reconcile_server(self) -> float | None:
        """Poll all pods and reconcile the server, again after a new pod was polled; return the seconds to wait."""
        key = Key(MODEL_SERVER, SERVING, "pool")
        await self.poll()
        self.polls.take_woken()
        again = await self.servers.reconcile(key)
        await self.polls.poller.poll_due()
        return await self.servers.reconcile(key) if key in self.polls.take_woken() else again

    async def work_once(self) -> None:
        """Reconcile every resource once; a crash kills the operator, and a new one starts."""
        try:
            await self.poll()
            for body in self.cluster.bodies(MODEL_SERVER):
                key = Key(MODEL_SERVER, body["metadata"]["namespace"], body["metadata"]["name"])
                await self._work_on(key)
                await self.polls.poller.poll_due()
                if key in self.polls.take_woken():
                    await self._work_on(key)
            for body in self.cluster.bodies(ADAPTER_DEPLOYMENT):
                key = Key(ADAPTER_DEPLOYMENT, body["metadata"]["namespace"], body["metadata"]["name"])
                await self._work_on(key)
                await self.polls.poller.poll_due()
                if key in self.polls.take_woken():
                    await self._work_on(key)
            for body in self.cluster.bodies(MODEL_CLIENT):
                await self._work_on(Key(MODEL_CLIENT, body["metadata"]["namespace"], body["metadata"]["name"]))
        except Crash:
            self.crashes += 1
            self.restart_operator()
        for kind in (MODEL_SERVER, ADAPTER_DEPLOYMENT, MODEL_CLIENT):
            for body in self.cluster.bodies(kind):
                check_status(kind, body.get("status", {}))

    async def _work_on(self, key: Key) -> None:
        loops = {MODEL_SERVER: self.servers, ADAPTER_DEPLOYMENT: self.rollouts, MODEL_CLIENT: self.clients}
        reconcile = loops[key.kind].reconcile
        self.feed.step()
        try:
            await reconcile(key)
        except (ConflictError, GoneError):
            self.again = True
        except ResourceError as error:
            await FailureReporter(self.feed.cluster, now=self.clock).report(key, error)

    async def settle(self, rounds: int = 80) -> None:
        for _ in range(rounds):
            before, self.again = self.fingerprint(), False
            self.pool.run()
            await self.work_once()
            if self.fingerprint() == before and not await self.feed.catch_up() and not self.again:
                return
        raise AssertionError("the world does not settle")

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock; the operator works at least every 30 seconds."""
        while seconds > READING_SECONDS:
            self.clock.advance(READING_SECONDS)
            seconds -= READING_SECONDS
            await self.settle()
        self.clock.advance(seconds)
        await self.settle()

    def fingerprint(self) -> tuple[Any, ...]:
        """Return everything except resource versions and the number of polls, which count reads and not changes."""
        objects = [_without_counts(data) for data in self.cluster.stored()]
        pods = [(uid, pod.generation, sorted(pod.loaded)) for uid, pod in sorted(self.pods.pods.items())]
        return objects, pods

    # Requests --------------------------------------------------------------------------------------------------

    def ask(self, count: int, bad: dict[str, set[str]] | None = None, alias: str = "support") -> list[str | None]:
        ready = self.pool.ready_servers()
        answers = []
        for _ in range(count):
            self.sessions += 1
            pod = ready[self.sessions % len(ready)]
            answers.append(pod.ask(alias, f"session-{self.sessions}", lambda name: (bad or {}).get(name, set())))
        return answers

    def list_jobs(self, role: str) -> list[Body]:
        return [job for job in self.cluster.bodies(JOB) if job["metadata"]["labels"]["tunewright.dev/role"] == role]

    def evaluation_job(self) -> Body:
        return self._only_job("evaluate")

    def inspection_job(self) -> Body:
        return self._only_job("inspect")

    def _only_job(self, role: str) -> Body:
        found = self.list_jobs(role)
        assert len(found) == 1, f"expected one Job to {role}, found {[job['metadata']['name'] for job in found]}"
        return found[0]

    def evaluation_request(self) -> EvaluationRequest:
        """Return what the evaluation's pod was asked to do."""
        name = self.evaluation_job()["metadata"]["name"]
        return EvaluationRequest.from_json(self.cluster.peek(CONFIG_MAP, SUPPORT, name)["data"]["evaluation.json"])

    def finish_evaluation(self, verdict: Verdict, message: str = "ExactMatch 0.9 against 0.8") -> None:
        """End the evaluation as an evaluator does: it reuses what it may, and stores the other answers."""
        name = self.evaluation_job()["metadata"]["name"]
        request = self.evaluation_request()
        report = EvaluationReport(
            verdict=verdict,
            reason=verdict.value,
            message=message,
            candidate="",
            report_uri="s3://models/report.json",
            engine=request.engine,
            arms=answer(request),
        )
        self.jobs.start(name)
        self.jobs.die(name, exit_code=int(verdict is Verdict.ERROR), message=report.to_json(), reason="Completed")

    async def begin_canary(self, word: str) -> None:
        """Let a job succeed and its adapter pass the evaluation."""
        self.clock.advance(1)
        self.put_job(word)
        await self.settle()
        self.finish_evaluation(Verdict.PASS)
        await self.settle()

    async def promote(self, word: str) -> None:
        """Let a job succeed and its adapter be promoted."""
        await self.begin_canary(word)
        await self.pass_windows()
        assert self.status()["stable"]["revision"] == revision_of(word), self.status()

    async def promote_candidate(self) -> None:
        """Let the current candidate be promoted."""
        self.finish_evaluation(Verdict.PASS)
        await self.settle()
        await self.pass_windows()

    async def pass_windows(self) -> None:
        """Give a canary good answers until its bake ends."""
        for _ in range(2):
            self.ask(400)
            await self.pass_time(5)
        await self.pass_time(60)

    def status(self, name: str = "support", namespace: str = SUPPORT) -> dict[str, Any]:
        return self.cluster.peek(ADAPTER_DEPLOYMENT, namespace, name).get("status", {})

    def server_status(self) -> dict[str, Any]:
        return self.cluster.peek(MODEL_SERVER, SERVING, "pool").get("status", {})

    def client_status(self, name: str = "web", namespace: str = SUPPORT) -> dict[str, Any]:
        return self.cluster.peek(MODEL_CLIENT, namespace, name).get("status", {})

    def remove_job(self, word: str) -> None:
        self.cluster.remove(FINE_TUNE_JOB, SUPPORT, word)


def answer(request: EvaluationRequest) -> tuple[ArmAnswers, ...]:
    """Return how each arm of an evaluation with 400 records gets its answers."""
    known = {item.key: item for item in request.known_answers}
    arms = []
    for target in [request.candidate, BASE_MODEL_TARGET, *([request.incumbent] if request.incumbent else [])]:
        conditions = build_conditions(request, target)
        key = conditions.key() if conditions is not None else ""
        if key in known and target != request.candidate:
            arms.append(ArmAnswers(target=target, reused=400))
            continue
        stored = AnswerRecord(target=target, key=key, digest=digest_of(key), answers=400) if key else None
        arms.append(ArmAnswers(target=target, asked=400, stored=stored))
    return tuple(arms)


@lru_cache(maxsize=10_000)
def _without_counts(data: bytes) -> bytes:
    """Return an object's JSON without resource version and polls; cached, because most objects rarely change."""
    body = orjson.loads(data)
    del body["metadata"]["resourceVersion"]
    candidate = body.get("status", {}).get("candidate")
    if isinstance(candidate, dict) and candidate.get("observation"):
        candidate["observation"].pop("polls", None)
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def condition(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next((item for item in status.get("conditions", []) if item["type"] == name), {})
