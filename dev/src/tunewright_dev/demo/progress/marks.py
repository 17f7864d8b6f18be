"""What counts as progress of each part of the story: states that change with progress, and only then.

Training: phase, attempt, optimizer step. Evaluation: answers of each arm. Observation: the operator's counts of both
arms. All parts: conditions. No state contains a time, an age or a name that is new in every attempt. No state consists
only of the customers' answers, because customers continue to send requests while a rollout hangs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from tunewright_dev.demo.observed.rollouts import name_stage
from tunewright_dev.demo.observed.world import World

Body = Mapping[str, Any]


def mark_server(server: Body | None) -> Hashable:
    """Return the progress of a pool's start: conditions, and the plan and adapters of each replica."""
    status = (server or {}).get("status", {})
    pods = sorted(
        (bool(pod.get("ready")), pod.get("planGeneration", 0), pod.get("adapters", 0)) for pod in status.get("pods", ())
    )
    return status.get("readyReplicas", 0), tuple(pods), mark_conditions(server)


def mark_job(job: Body | None) -> Hashable:
    """Return the progress of a FineTuneJob."""
    status = (job or {}).get("status", {})
    step = status.get("progress", {}).get("step", 0)
    return status.get("phase"), status.get("attempt", 0), step, mark_conditions(job)


def mark_rollout(world: World) -> Hashable:
    """Return the progress of the candidate, and the evaluation or the counts that its current step waits for."""
    deployment = world.deployment or {}
    status = deployment.get("status", {})
    candidate = status.get("candidate") or {}
    if not candidate:
        return mark_conditions(deployment), mark_server(world.server)
    stage = name_stage(deployment["spec"]["rollout"]["steps"], candidate.get("step", 0))
    counts: Hashable = ()
    if stage == "evaluate":
        counts = world.evaluation
    elif stage.startswith("observe"):
        counts = tuple(candidate.get("reasons", ()))
    ending = (candidate.get("ending") or {}).get("reason")
    where = candidate["revision"], stage, candidate.get("weight", 0), candidate.get("verdict"), ending
    return where, counts, mark_conditions(deployment), mark_server(world.server)


def mark_conditions(body: Body | None) -> Hashable:
    """Return an object's conditions without their messages, because some of them contain seconds."""
    conditions = (body or {}).get("status", {}).get("conditions", ())
    return tuple(sorted((one["type"], one["status"], one.get("reason", "")) for one in conditions))
