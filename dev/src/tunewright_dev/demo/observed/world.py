"""The demo's view of the cluster, computed from events."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import PLAN_KEY, ServingPlan, SignedPlan
from tunewright_dev.demo.observed.answers import Answer, Tally
from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.ledger import Ledger, PlanEntry
from tunewright_dev.demo.observed.rollouts import Ended, RolloutLog, read_time

Body = dict[str, Any]

SHOWN_ANSWERS = 4


class Source(StrEnum):
    """Where events come from."""

    JOBS = "jobs"
    DEPLOYMENT = "deployment"
    SERVER = "server"
    PLAN = "plan"
    CUSTOMERS = "customers"
    EVALUATION = "evaluation"
    SPEED = "speed"
    SPEED_DEPLOYMENT = "speed deployment"
    MEMORY = "memory"


class EvaluationProgress(NamedTuple):
    """How many held-out records an arm has answered."""

    arm: str
    answered: int
    records: int


class World:
    """The current state of the cluster, and the records of its history."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.jobs: dict[str, Body] = {}
        self.deployment: Body | None = None
        self.server: Body | None = None
        self.ledger = Ledger()
        self.tally = Tally(alias, self.ledger)
        self.rollouts = RolloutLog()
        self.peak_memory: dict[str, int] = {}
        self.latest: deque[Answer] = deque(maxlen=SHOWN_ANSWERS)
        self.customers_ended = False
        self.evaluation: EvaluationProgress | None = None
        """The progress of the current or the last evaluation."""
        self.speed_deployment: Body | None = None
        """The AdapterDeployment for the measurement of the pool's speed."""
        self.speed_answers: list[Answer] = []
        """The pool's answers while its speed is measured."""
        self._last_speed_answer = 0
        self.speed_ended = False

    def absorb(self, event: Event) -> list[Ended]:
        """Process one event; return the rollouts that it ended."""
        if event.source == Source.DEPLOYMENT:
            return self._take_deployment(event)
        take: dict[str, Callable[[Event], None]] = {
            Source.JOBS: self._take_job,
            Source.SERVER: self._take_server,
            Source.PLAN: self._take_plan,
            Source.CUSTOMERS: self._take_answer,
            Source.EVALUATION: self._take_evaluation,
            Source.SPEED: self._take_speed_answer,
            Source.SPEED_DEPLOYMENT: self._take_speed_deployment,
            Source.MEMORY: self._take_memory,
        }
        take[event.source](event)
        return []

    def _take_job(self, event: Event) -> None:
        name = event.body["metadata"]["name"]
        if event.deleted:
            self.jobs.pop(name, None)
        else:
            self.jobs[name] = event.body

    def _take_deployment(self, event: Event) -> list[Ended]:
        self.deployment = None if event.deleted else event.body
        return [] if self.deployment is None else self.rollouts.read(self.deployment)

    def _take_server(self, event: Event) -> None:
        self.server = None if event.deleted else event.body
        self.ledger.record_pods(event.at, read_generations(self.server or {}))

    def _take_plan(self, event: Event) -> None:
        entry = None if event.deleted else read_plan(event.body, event.at)
        if entry is not None:
            self.ledger.record_plan(entry)

    def _take_evaluation(self, event: Event) -> None:
        self.evaluation = event.body or self.evaluation

    def _take_memory(self, event: Event) -> None:
        for pod, used in event.body.items():
            self.peak_memory[pod] = max(used, self.peak_memory.get(pod, 0))

    def _take_speed_deployment(self, event: Event) -> None:
        self.speed_deployment = None if event.deleted else event.body

    def _take_speed_answer(self, event: Event) -> None:
        if event.ended:
            self.speed_ended = True
            return
        answer = Answer.from_wire(event.body)
        # A log that is read again from its start repeats its answers.
        if answer.number > self._last_speed_answer:
            self.speed_answers.append(answer)
            self._last_speed_answer = answer.number

    def forget_speed_answers(self) -> None:
        """Restart the measurement of the pool's speed with the next answers."""
        self.speed_answers.clear()

    def _take_answer(self, event: Event) -> None:
        if event.ended:
            self.customers_ended = True
            return
        answer = Answer.from_wire(event.body)
        if self.tally.add(answer):
            self.latest.append(answer)


def read_plan(config_map: Body, at: float) -> PlanEntry | None:
    """Return the plan in a ConfigMap that was seen at a time, or None if it has none."""
    try:
        signed = SignedPlan.from_json(config_map["data"][PLAN_KEY])
        plan = ServingPlan.from_json(signed.payload_bytes())
    except (KeyError, ValueError, ContractError):
        return None
    # The API server records the time of the last write in whole seconds: the write was not earlier.
    noted = [entry["time"] for entry in config_map["metadata"].get("managedFields", ()) if "time" in entry]
    earliest = min(at, max((read_time(time) for time in noted), default=at))
    shares = {
        route.alias: {target.name: target.weight for target in route.targets if target.weight > 0}
        for route in plan.routes
    }
    return PlanEntry(plan.generation, earliest, at, shares)


def read_evaluation(log: str) -> EvaluationProgress | None:
    """Return the progress of an evaluation from the last line of its log that has one, or None."""
    for line in reversed(log.splitlines()):
        try:
            entry = json.loads(line)
            return EvaluationProgress(entry["arm"], entry.get("answered", 0), entry["records"])
        except (ValueError, KeyError, TypeError):
            continue
    return None


def read_generations(server: Body) -> dict[str, int]:
    """Return the plan's generation that each pod of a ModelServer reports, without pods that do not serve yet."""
    pods = server.get("status", {}).get("pods", ())
    return {pod["name"]: pod.get("planGeneration", 0) for pod in pods if pod.get("ready") or pod.get("planGeneration")}


def find_condition(body: Body | None, condition_type: str) -> Body:
    """Return a condition of an object; empty if there is none or only one of an older generation."""
    for condition in (body or {}).get("status", {}).get("conditions", ()):
        fresh = condition.get("observedGeneration") == (body or {})["metadata"].get("generation")
        if condition["type"] == condition_type and fresh:
            return dict(condition)
    return {}
