"""A fake cluster for the demo's story, without waiting: applying a manifest produces the events that follow from it."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from support.worlds.demo_objects import config_map
from tunewright_contracts.evaluation_report import EvaluationReport, MetricResult, Verdict
from tunewright_dev.demo.manifests import read
from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.world import EvaluationProgress, Source

BASE_DIGEST = f"sha256:{'b' * 64}"
MODEL = {
    "hidden_size": 24,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
}
READY = {"type": "Ready", "status": "True", "reason": "Ready", "observedGeneration": 1}
START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
PROMOTED, OFFLINE, LIVE = "Promoted", "offline", "live"
ENDS = {
    "support-triage-1": PROMOTED,
    "support-triage-2": PROMOTED,
    "support-triage-3": OFFLINE,
    "support-triage-4": LIVE,
}


def time_of(second: float) -> str:
    return f"2026-01-01T{int(second) // 3600:02d}:{int(second) // 60 % 60:02d}:{int(second) % 60:02d}Z"


class DemoCluster:
    """Stands for kubectl and for the feed; its clock advances with every event."""

    def __init__(self, clone: Path, tokens_per_answer: int = 16) -> None:
        self.clone = clone
        self.tokens_per_answer = tokens_per_answer
        self.now = 0.0
        self.events: list[Event] = []
        self.applied: list[str] = []
        self.deleted: list[tuple[str, ...]] = []
        self.paces: list[str] = []
        self.sources: set[str] = set()
        self.steps: list[dict[str, Any]] = []
        self.stable: str | None = None
        self.history: list[dict[str, Any]] = []
        self.generation = 0
        self.numbers = 0
        self.objects: dict[str, bytes] = {"models/smollm2/config.json": json.dumps(MODEL).encode()}
        self.reports = _build_report().to_json().encode()

    # The store.

    def put_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = request["Body"]

    def get_object(self, **request: Any) -> Any:
        return {"Body": io.BytesIO(self.objects.get(request["Key"], self.reports))}

    # kubectl.

    def run(self, *arguments: str, **_: Any) -> str:
        if arguments[:2] == ("get", "nodes"):
            return json.dumps({"items": [{"status": {"allocatable": {"cpu": "2"}}}]})
        if arguments[0] == "apply":
            for path in arguments[2::2]:
                self.applied.append(path.removeprefix(f"{self.clone}/"))
                self._react(read(Path(path)))
        elif arguments[0] == "exec":
            self._set_pace(arguments[-1])
        elif arguments[0] == "delete":
            self.deleted.append(arguments[1:])
        return ""

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        if kind == "modelclient":
            return {"metadata": {"generation": 1}, "status": {"conditions": [READY]}}
        return {"status": {"digest": BASE_DIGEST}, "data": {}}

    def apply(self, objects: list[dict[str, Any]]) -> None:
        for body in objects:
            if body["kind"] == "AdapterDeployment":
                self._plan({"speed--0": 100}, alias="speed")

    # The feed.

    def watch(self, source: str, *_: str) -> None:
        self.sources.add(source)

    def poll(self, source: str, _ask: object) -> None:
        self.sources.add(source)

    def follow(self, source: str, _pod: str, _namespace: str) -> None:
        self.sources.add(source)
        if source == Source.SPEED:
            for _ in range(24 * 4):
                self._emit(source, {**self._answer("speed--0"), "tokens": self.tokens_per_answer}, after=0.25)

    def next(self, timeout: float) -> Event | None:
        # One event at a time, so that the story sees each state.
        return self.events.pop(0) if timeout and self.events else None

    # What happens.

    def _emit(self, source: str, body: Any = None, *, after: float = 1.0, ended: bool = False) -> None:
        self.now += after
        if isinstance(body, dict) and "start" in body:
            body |= {"start": START + self.now - 2, "end": START + self.now}
        self.events.append(Event(source, START + self.now, body, ended=ended))

    def _answer(self, revision: str) -> dict[str, Any]:
        self.numbers += 1
        known = {"number": self.numbers, "session": "s", "kind": "ticket", "status": 200, "model": "support"}
        return {**known, "revision": revision, "start": 0, "end": 0}

    def _react(self, body: dict[str, Any]) -> None:
        if body["kind"] == "ModelServer":
            self._emit_server()
        elif body["kind"] == "AdapterDeployment":
            self.steps = body["spec"]["rollout"]["steps"]
            self._emit_deployment(None)
        elif body["kind"] == "FineTuneJob":
            self._play_job(body["metadata"]["name"])

    def _play_job(self, name: str) -> None:
        created = time_of(self.now)
        progress = {"step": 1, "totalSteps": 2}
        metadata = {"name": name, "generation": 1, "creationTimestamp": created}
        self._emit(
            Source.JOBS, {"metadata": metadata, "status": {"phase": "Training", "attempt": 1, "progress": progress}}
        )
        completed = {"phase": "Succeeded", "completionTime": time_of(self.now + 60)}
        self._emit(Source.JOBS, {"metadata": metadata, "status": completed}, after=60)
        self._roll_out(name, f"support--{name[-1]}")

    def _roll_out(self, job: str, revision: str) -> None:
        accepted, end = time_of(self.now), ENDS[job]
        source = {"name": job, "uid": job}
        self._emit_deployment({"revision": revision, "step": 0, "weight": 0, "sourceJob": source})
        self._emit(Source.EVALUATION, EvaluationProgress("candidate", 200, 200))
        seen = 1 if end == OFFLINE else 3 if end == LIVE else len(self.steps) + 1
        for step in range(1, seen):
            weights = [one["setWeight"] for one in self.steps[: step + 1] if "setWeight" in one]
            weight = 100 if self.stable is None or step == len(self.steps) else weights[-1]
            self._plan({revision: weight} | ({self.stable: 100 - weight} if self.stable and weight < 100 else {}))
            self._emit_deployment({"revision": revision, "step": step, "weight": weight, "sourceJob": source})
            for _ in range(10):
                self._emit(Source.CUSTOMERS, self._answer(revision))
        if end == PROMOTED:
            self.stable = revision
        self._plan({str(self.stable): 100})
        outcome = {"outcome": "Promoted" if end == PROMOTED else "RolledBack", "reason": end, "message": "why"}
        entry = {"revision": revision, "sourceJob": source, "from": accepted, "to": time_of(self.now), **outcome}
        self.history.insert(0, {**entry, "reportURI": "s3://tunewright/report.json"})
        self._emit_deployment(None)

    def _emit_deployment(self, candidate: dict[str, Any] | None) -> None:
        status: dict[str, Any] = {"history": list(self.history)}
        status |= {"candidate": candidate} if candidate else {}
        status |= {"stable": {"revision": self.stable}} if self.stable else {}
        spec = {"rollout": {"steps": self.steps}}
        self._emit(Source.DEPLOYMENT, {"metadata": {"generation": 1}, "spec": spec, "status": status})

    def _plan(self, shares: dict[str, int], alias: str = "support") -> None:
        self.generation += 1
        self._emit(Source.PLAN, config_map(self.generation, shares, time_of(self.now), alias))
        self._emit_server()

    def _emit_server(self) -> None:
        pods = [{"name": name, "ready": True, "planGeneration": self.generation, "adapters": 1} for name in ("a", "b")]
        status = {"pods": pods, "readyReplicas": 2, "conditions": [READY]}
        self._emit(Source.SERVER, {"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status})

    def _set_pace(self, pace: str) -> None:
        self.paces.append(pace)
        if pace == "--set-customers=-1":
            self._emit(Source.CUSTOMERS, ended=True)


class DemoTarget:
    """The part of a target that the story uses."""

    def __init__(self, paths: Any, cluster: DemoCluster) -> None:
        self.paths = paths
        self._cluster = cluster

    def open_store(self, _kubectl: object) -> Any:
        return nullcontext(self._cluster)


def _build_report() -> EvaluationReport:
    def metric(kind: str, base: float, candidate: float) -> MetricResult:
        return MetricResult(type=kind, candidate=candidate, base=base, samples=200, verdict=Verdict.PASS, message="")

    metrics = (metric("ExactMatch", 0.0, 0.875), metric("JSONSchema", 0.0, 1.0))
    return EvaluationReport(verdict=Verdict.PASS, reason="x", message="y", candidate="support--2", metrics=metrics)
