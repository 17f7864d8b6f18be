"""What counts as progress in each part of the story, and what does not."""

from __future__ import annotations

import pytest

from support.worlds.demo_objects import NEW, STEPS, deployment, job
from tunewright_dev.demo.observed.answers import Answer
from tunewright_dev.demo.observed.world import EvaluationProgress, World
from tunewright_dev.demo.progress import marks

OBSERVE, BAKE = 2, len(STEPS)


def condition(reason, message="", status="True", kind="Reconciling"):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def server(*pods, reason="Starting", message=""):
    status = {"pods": list(pods), "readyReplicas": sum(pod["ready"] for pod in pods)}
    return {"metadata": {"generation": 1}, "status": {**status, "conditions": [condition(reason, message)]}}


def pod(name, *, ready=False, adapters=0):
    return {"name": name, "ready": ready, "planGeneration": 1, "adapters": adapters}


@pytest.mark.parametrize(
    ("later", "progress"),
    [
        (server(pod("a", ready=True), pod("b")), True),
        (server(pod("a", adapters=1), pod("b")), True),
        (server(pod("a"), pod("b"), reason="PodPending"), True),
        (server(pod("a"), pod("b")), False),
        (server(pod("a"), pod("b"), message="for 40 s"), False),  # only the seconds in the message have changed
        (server(pod("c"), pod("d")), False),  # failing pods are replaced, each with another name
    ],
)
def test_servers(later, progress):
    assert (marks.mark_server(later) != marks.mark_server(server(pod("a"), pod("b")))) is progress


def training(step=3, attempt=1, phase="Training", **progress):
    return job(phase, attempt=attempt, progress={"step": step, "totalSteps": 40, **progress})


@pytest.mark.parametrize(
    ("later", "progress"),
    [
        (training(step=4), True),
        (training(attempt=2), True),
        (training(phase="Evaluating"), True),
        (job("Training", attempt=1, progress={"step": 3}, conditions=[condition("Training")]), True),
        (training(), False),
        (training(tokensPerSecond=100, estimatedFinish="later"), False),
    ],
)
def test_jobs(later, progress):
    assert (marks.mark_job(later) != marks.mark_job(training())) is progress


def world_with(candidate=None, evaluation=None, answers=0):
    world = World("support")
    world.deployment = deployment(candidate)
    world.evaluation = evaluation
    for number in range(1, answers + 1):
        known = {"start": 1, "end": 2, "session": "s", "kind": "ticket", "status": 200, "revision": NEW}
        world.tally.add(Answer(number=number, **known))
    return world


def candidate(step, **changes):
    return {"revision": NEW, "step": step, "weight": 0, **changes}


def counted(count):
    return candidate(OBSERVE, reasons=[f"the candidate has {count} of 40 answers"])


def answered(count, arm="candidate"):
    return EvaluationProgress(arm, count, 200)


@pytest.mark.parametrize(
    ("earlier", "later", "progress"),
    [
        (world_with(), world_with(candidate(0)), True),
        (world_with(candidate(0)), world_with(candidate(1)), True),
        (world_with(candidate(1)), world_with(candidate(1, weight=20)), True),
        (world_with(candidate(2)), world_with(candidate(2, ending={"reason": "GuardrailFailed"})), True),
        (world_with(candidate(0), answered(20)), world_with(candidate(0), answered(40)), True),
        (world_with(candidate(0), answered(200)), world_with(candidate(0), answered(0, "base")), True),
        (world_with(counted(12)), world_with(counted(13)), True),
        # Customers also send requests while an evaluation hangs, and a bake without judged answers counts
        # seconds without end.
        (world_with(candidate(0), answered(20), answers=1), world_with(candidate(0), answered(20), answers=9), False),
        (
            world_with(candidate(BAKE, reasons=["watched for 31 of 30 s"])),
            world_with(candidate(BAKE, reasons=["watched for 36 of 30 s"]), answers=9),
            False,
        ),
        # A finished evaluation is no progress of a later step.
        (world_with(candidate(2), answered(20)), world_with(candidate(2), answered(40)), False),
        (world_with(answers=1), world_with(answers=9), False),
    ],
)
def test_rollouts(earlier, later, progress):
    assert (marks.mark_rollout(earlier) != marks.mark_rollout(later)) is progress


def test_every_mark_is_hashable():
    world = world_with(counted(1))
    world.server = server(pod("a"))
    assert {marks.mark_rollout(world), marks.mark_job(training()), marks.mark_server(None), marks.mark_job(None)}
