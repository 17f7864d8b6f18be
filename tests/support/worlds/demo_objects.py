"""Objects of the demo's cluster, and the summary of a successful story."""

from __future__ import annotations

import base64

from tunewright_contracts.serving_plan import PLAN_KEY, Route, ServingPlan, SignedPlan, Target
from tunewright_dev.demo.output.summary import Answers, Qualities, Quality, RolloutResult, Seconds, SpeedResult, Summary

STEPS = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40}}, {"setWeight": 50}, {"pause": {}}]


NEW = "support--bbb"


def config_map(generation, shares, written="2026-01-01T00:00:10Z", alias="support"):
    targets = tuple(Target(name=name, weight=weight) for name, weight in shares.items())
    plan = ServingPlan(
        server_uid="uid",
        generation=generation,
        base_model_digest=f"sha256:{'0' * 64}",
        routes=(Route(alias=alias, namespace="support", targets=targets),),
    )
    signed = SignedPlan(payload=base64.b64encode(plan.to_json().encode()).decode(), signature="")
    fields = [{"manager": "operator", "time": "2025-12-31T00:00:00Z"}, {"manager": "operator", "time": written}]
    return {"metadata": {"managedFields": fields}, "data": {PLAN_KEY: signed.to_json()}}


def deployment(candidate=None, history=(), stable=None):
    status = {"history": list(history)}
    status |= {"candidate": candidate} if candidate else {}
    status |= {"stable": {"revision": stable}} if stable else {}
    return {"metadata": {"generation": 1}, "spec": {"rollout": {"steps": STEPS}}, "status": status}


def entry(outcome="RolledBack", job="support-triage-4", revision=NEW):
    times = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:01:00Z"}
    why = {"reason": "GuardrailFailed", "message": "OutputContract 0.31 against 0.00", "reportURI": "s3://b/r.json"}
    return {"revision": revision, "outcome": outcome, "sourceJob": {"name": job, "uid": "u"}, **times, **why}


def job(phase, **status):
    return {"metadata": {"name": "j", "generation": 1}, "status": {"phase": phase, **status}}


GOOD = Summary(
    quality=Qualities(
        base=Quality(exact_match=0.0, valid_json=0.1, n=200), tuned=Quality(exact_match=0.8, valid_json=1.0, n=200)
    ),
    answers=Answers(total=100, wrong=0, failed=0, by_revision={"support--aaa": 60, "support--bbb": 40}),
    rollouts=(
        RolloutResult(name="one", outcome="Promoted", stage="bake", candidate_share_percent=100, reason="Promoted"),
        RolloutResult(name="two", outcome="Promoted", stage="bake", candidate_share_percent=100, reason="Promoted"),
        RolloutResult(name="three", outcome="RolledBack", stage="evaluate", candidate_share_percent=0, reason="x"),
        RolloutResult(
            name="four", outcome="RolledBack", stage="observe at 20 %", candidate_share_percent=20, reason="y"
        ),
    ),
    seconds=Seconds(
        apply_to_trained=1,
        trained_to_promoted=2,
        bad_offline_to_rolled_back=3,
        bad_live_to_rolled_back=None,
        stages={"servers": 45.0, "support-triage-1: train": 150.0},
    ),
    speed=SpeedResult(tokens_per_second=63.5),
    convergence_seconds={"pod": 0.5},
    peak_memory_mib={"pod": 2000},
    cold_setup_seconds=None,
)
