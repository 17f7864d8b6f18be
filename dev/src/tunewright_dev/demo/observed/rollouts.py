"""The rollout of each job's adapter, from the states of the AdapterDeployment."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]

UNKNOWN_STAGE = "unknown"


@dataclasses.dataclass(frozen=True)
class Ended:
    """One finished rollout; times are seconds since the epoch."""

    job: str
    revision: str
    outcome: str
    stage: str
    reason: str
    message: str
    report_uri: str
    accepted_at: float
    ended_at: float


class RolloutLog:
    """Read all states of one AdapterDeployment, in order."""

    def __init__(self) -> None:
        self._stages: dict[str, str] = {}
        self.ended: dict[str, Ended] = {}
        """By the name of the revision's job."""

    def read(self, deployment: Body) -> list[Ended]:
        """Read one state; return the rollouts that ended since the last one."""
        status = deployment.get("status", {})
        candidate = status.get("candidate")
        if candidate:
            steps = deployment["spec"]["rollout"]["steps"]
            self._stages[candidate["revision"]] = name_stage(steps, candidate.get("step", 0))
        entries = reversed(status.get("history", ()))
        found = [self._end(entry) for entry in entries if _job_of(entry) not in self.ended]
        fresh = [one for one in found if one is not None]
        self.ended.update({one.job: one for one in fresh})
        return fresh

    def _end(self, entry: Body) -> Ended | None:
        job = _job_of(entry)
        if not job:
            return None
        return Ended(
            job=job,
            revision=entry["revision"],
            outcome=entry["outcome"],
            stage=self._stages.get(entry["revision"], UNKNOWN_STAGE),
            reason=entry["reason"],
            message=entry.get("message", ""),
            report_uri=entry.get("reportURI", ""),
            accepted_at=read_time(entry["from"]),
            ended_at=read_time(entry["to"]),
        )


def name_stage(steps: list[Body], index: int) -> str:
    """Return the name of a rollout's step: "evaluate", "shift to 20 %", "observe at 20 %", "bake"."""
    if index >= len(steps):
        return "bake"
    weights = [step["setWeight"] for step in steps[: index + 1] if "setWeight" in step]
    step = steps[index]
    if "setWeight" in step:
        return f"shift to {step['setWeight']} %"
    kind = next(iter(step))
    return f"{kind} at {weights[-1]} %" if weights else kind


def name_watched_stage(steps: list[Body], index: int) -> str:
    """Return the name of the stage that a candidate at a step is in; a shift belongs to the next stage."""
    while index < len(steps) and "setWeight" in steps[index]:
        index += 1
    return name_stage(steps, index)


def read_time(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time."""
    return dt.datetime.fromisoformat(text).timestamp()


def _job_of(entry: Body) -> str:
    return str((entry.get("sourceJob") or {}).get("name", ""))
