"""What counts as progress of each part of the story: states that differ when it got further, and only then.

Training: phase, attempt, optimizer step. Evaluation: answers of each arm. Observation: the operator's counts of both
arms. Everything: conditions. No state has a time, an age or a name that is new in every attempt, and none has only
the answers of the customers, who continue to ask while a rollout hangs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from tunewright_dev.demo.observed.rollouts import name_stage
from tunewright_dev.demo.observed.world import World

Body = Mapping[str, Any]


def mark_server(server: Body | None) -> Hashable:
    """Return how far the start of a pool is: conditions, and what each replica has."""
    status = (server or {}).get("status", {})
    pods = sorted(
        (bool(pod.get("ready")), pod.get("planGeneration", 0), pod.get("adapters", 0)) for pod in status.get("pods", ())
    )
    return status.get("readyReplicas", 0), tuple(pods), mark_conditions(server)


def mark_job(job: Body | None) -> Hashable:
    """Return how far a FineTuneJob is."""
    status = (job or {}).get("status", {})
    step = status.get("progress", {}).get("step", 0)
    return status.get("phase"), status.get("attempt", 0), step, mark_conditions(job)


def mark_rollout(world: World) -> Hashable:
    """Return how far the candidate is, and the evaluation or the counts that its present step waits for."""
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
    """Return an object's conditions without their messages, some of which count seconds."""
    conditions = (body or {}).get("status", {}).get("conditions", ())
    return tuple(sorted((one["type"], one["status"], one.get("reason", "")) for one in conditions))
