"""A canary on real servers: shares change, evidence decides, and killed processes do not change the result."""

from __future__ import annotations

import json
import random
import time

import pytest

from e2e.harness import adapters, serving
from e2e.harness.bucket import Bucket
from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, is_true, wait_until
from tunewright_dev import chart

pytestmark = pytest.mark.e2e

STEPS = [
    {"evaluate": {}},
    {"setWeight": 30},
    {"observe": {"minRequests": 10, "maxSeconds": 600}},
    {"setWeight": 60},
    {"observe": {"minRequests": 10, "maxSeconds": 600}},
]


def rollout(steps: list[Body], **fields: object) -> Body:
    return {"steps": steps, "stickyBy": [{"header": "x-session-id"}], "bakeSeconds": 3, **fields}


def candidate(body: Body) -> Body:
    return dict(body.get("status", {}).get("candidate") or {})


def source_job(body: Body) -> str:
    return str(body.get("status", {}).get("stable", {}).get("sourceJob", {}).get("name", ""))


def last_outcome(body: Body) -> tuple[str, str]:
    history = body.get("status", {}).get("history") or [{}]
    return history[0].get("revision", ""), history[0].get("outcome", "")


def start_canary(
    kubectl: Kubectl,
    bucket: Bucket,
    pool: str,
    team: str,
    base: str,
    alias: str,
    seeds: tuple[int, int],
    steps: list[Body],
) -> tuple[str, str]:
    """Promote a first adapter, then name a second one; return both revisions."""
    _, stable = serving.deploy(kubectl, bucket, pool, team, base, seeds[0], alias)
    uri = adapters.publish(bucket, team, base, seeds[1], held_out=serving.HELD_OUT)
    kubectl.apply(serving.build_deployment(alias, team, pool, uri, rollout=rollout(steps)))
    return stable, serving.revision_of(alias, uri)


def test_canary_is_promoted_by_evidence(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"c{team[5:]}"
    stable, new = start_canary(platform, bucket, pool, team, base_digest, alias, (60, 61), STEPS)
    with serving.Traffic(serving.service_address(platform, pool), alias, pause=0.1) as traffic:
        body = platform.wait_for("adep", alias, team, lambda body: last_outcome(body) == (new, "Promoted"), timeout=400)
    assert traffic.failures() == []
    assert {answer.alias for answer in traffic.answers} == {alias}
    assert traffic.revisions() == {stable, new}
    assert body["status"]["stable"]["revision"] == new
    report = bucket.read_json(body["status"]["history"][0]["reportURI"])
    assert report["verdict"] == "Pass"
    assert {item["type"] for item in report["metrics"]} == {"ExactMatch"}
    assert all(item["incumbent"] is not None and item["base"] is not None for item in report["metrics"])

    def loaded() -> list[set[str]]:
        return [{adapter.name for adapter in state.adapters} for state in serving.read_states(platform, pool)]

    # Drained and unloaded; the pool still serves other tests' adapters.
    wait_until(lambda: all(stable not in names for names in loaded()), timeout=60, describe=lambda: repr(loaded()))
    assert all(new in names for names in loaded())


def test_candidate_that_fails_its_evaluation_gets_no_traffic(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"f{team[5:]}"
    _, stable = serving.deploy(platform, bucket, pool, team, base_digest, 62, alias)
    uri = adapters.publish(bucket, team, base_digest, 63, held_out=serving.HELD_OUT)
    strict = {"maxSamples": 8, "maxTokens": 4, "metrics": [{"type": "ExactMatch", "minimum": "0.9"}]}
    with serving.Traffic(serving.service_address(platform, pool), alias) as traffic:
        platform.apply(serving.build_deployment(alias, team, pool, uri, rollout=rollout(STEPS), evaluation=strict))
        new = serving.revision_of(alias, uri)
        body = platform.wait_for(
            "adep", alias, team, lambda body: last_outcome(body) == (new, "RolledBack"), timeout=300
        )
    assert traffic.revisions() == {stable}
    assert traffic.failures() == []
    assert condition(body, "CandidateHealthy")["status"] == "False"
    assert "ExactMatch" in condition(body, "CandidateHealthy")["message"]
    assert body["status"]["stable"]["revision"] == stable

    platform.annotate("adep", alias, team, "touched=1")
    again = platform.get("adep", alias, team)
    assert again is not None
    assert not candidate(again)


def test_jobs_that_the_selector_matches_are_rolled_out_automatically(
    platform: Kubectl, pool: str, team: str, base_digest: str
) -> None:
    alias = f"s{team[5:]}"
    serving.wait_ready(platform, pool)
    by_label = {"fineTuneJobSelector": {"matchLabels": {"app": alias}}}
    platform.apply(serving.build_deployment(alias, team, pool, "", adapter=by_label))
    platform.apply(build_dataset("data", team, build_records(40)))
    for name, steps in (("first", 2), ("second", 4)):
        job = build_job(name, team)
        job["metadata"]["labels"] = {"app": alias}
        job["spec"]["training"] |= {"maxSteps": steps}
        platform.apply(job)
        body = platform.wait_for(
            "adep",
            alias,
            team,
            lambda body, name=name: source_job(body) == name and is_true(body, "Ready"),
            timeout=400,
        )
        done = platform.get("ftj", name, team)
        assert done is not None
        assert body["status"]["stable"]["digest"] == done["status"]["adapter"]["digest"]
        assert body["status"]["stable"]["baseModelDigest"] == base_digest
    assert [entry["sourceJob"]["name"] for entry in body["status"]["history"]] == ["second", "first"]
    assert serving.ask(serving.service_address(platform, pool), alias).status_code == 200


def test_candidate_whose_answers_break_the_contract_is_rolled_back(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"b{team[5:]}"
    _, stable = serving.deploy(platform, bucket, pool, team, base_digest, 68, alias)
    uri = adapters.publish(bucket, team, base_digest, 69, held_out=serving.HELD_OUT)
    new = serving.revision_of(alias, uri)
    contract = {
        # The clients allow 4 tokens, and a random model uses them all: of a cut answer, only the length is checked.
        "outputContract": {"jsonSchema": {"type": "object"}, "maxTokens": 3},
        "analysis": {"metrics": [{"type": "OutputContract", "minimum": "0.9"}]},
    }
    steps: list[Body] = [{"setWeight": 30}, {"observe": {"minRequests": 200, "maxSeconds": 600}}]
    platform.apply(serving.build_deployment(alias, team, pool, uri, rollout=rollout(steps), **contract))
    with serving.Traffic(serving.service_address(platform, pool), alias, pause=0.1) as traffic:
        body = platform.wait_for(
            "adep", alias, team, lambda body: last_outcome(body) == (new, "RolledBack"), timeout=300
        )
        ended = len(traffic.answers)
        wait_until(lambda: len(traffic.answers) > ended + 20, timeout=60)
    entry = body["status"]["history"][0]
    assert entry["reason"] == "GuardrailFailed"
    assert entry["message"].startswith("OutputContract: bad answers ")
    assert traffic.failures() == []
    assert traffic.revisions() == {stable, new}
    # Requests that were in flight at the rollback may still be answered by the candidate.
    assert traffic.revisions(since=ended + 10) == {stable}


def test_manual_abort_retry_and_promotion(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"p{team[5:]}"
    steps = [{"setWeight": 50}, {"pause": {}}]
    stable, new = start_canary(platform, bucket, pool, team, base_digest, alias, (64, 65), steps)
    platform.wait_for(
        "adep",
        alias,
        team,
        lambda body: condition(body, "Reconciling").get("reason") == "AwaitingPromotion",
        timeout=120,
    )
    sessions = [f"customer-{number}" for number in range(30)]
    answers = [
        {session: serving.ask(address, alias, session).headers["x-tunewright-revision"] for session in sessions}
        for address in serving.pod_addresses(platform, pool).values()
    ]
    assert len(answers) == 2
    assert answers[0] == answers[1], "a session's revision does not depend on the replica"
    assert set(answers[0].values()) == {stable, new}
    platform.annotate("adep", alias, team, f"tunewright.dev/abort={new}@1")
    platform.wait_for("adep", alias, team, lambda body: last_outcome(body) == (new, "Aborted"), timeout=120)

    platform.annotate("adep", alias, team, f"tunewright.dev/retry={new}@1")
    platform.wait_for("adep", alias, team, lambda body: candidate(body).get("weight") == 50, timeout=120)
    platform.annotate("adep", alias, team, f"tunewright.dev/promote={stable}@1")
    platform.annotate("adep", alias, team, f"tunewright.dev/promote={new}@2")
    body = platform.wait_for("adep", alias, team, lambda body: last_outcome(body) == (new, "Promoted"), timeout=180)
    assert body["status"]["stable"]["revision"] == new


def test_operator_killed_at_random_moments_changes_nothing(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"o{team[5:]}"
    stable, new = start_canary(platform, bucket, pool, team, base_digest, alias, (66, 67), STEPS)
    moments = random.Random(7)
    kills = 0
    with serving.Traffic(serving.service_address(platform, pool), alias, pause=0.1) as traffic:

        def promoted() -> bool:
            body = platform.get("adep", alias, team)
            return body is not None and last_outcome(body) == (new, "Promoted")

        deadline = time.monotonic() + 500
        while not promoted() and kills < 6 and time.monotonic() < deadline:
            due = time.monotonic() + moments.uniform(4, 15)
            wait_until(lambda due=due: time.monotonic() > due or promoted(), timeout=30)
            platform.run(
                "delete", "pods", "-n", chart.NAMESPACE, "-l", "app.kubernetes.io/component=operator",
                "--grace-period=0", "--force",
            )  # fmt: skip
            kills += 1
        wait_until(promoted, timeout=400)
    assert kills >= 2
    assert traffic.failures() == []
    assert traffic.revisions() == {stable, new}


def test_server_pod_killed_during_a_canary(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"d{team[5:]}"
    stable, new = start_canary(platform, bucket, pool, team, base_digest, alias, (68, 69), STEPS)
    platform.wait_for("adep", alias, team, lambda body: candidate(body).get("weight") == 30, timeout=200)
    victim = min(serving.pod_addresses(platform, pool))
    with serving.Traffic(serving.service_address(platform, pool), alias, pause=0.1) as traffic:
        platform.run("delete", "pod", victim, "-n", pool, "--grace-period=0", "--force")
        platform.wait_for("adep", alias, team, lambda body: last_outcome(body) == (new, "Promoted"), timeout=500)
    assert traffic.revisions() <= {stable, new}
    # A pod that is killed without notice breaks its connections. All answers that arrived are from the right revisions.
    assert len(traffic.failures()) <= 20


def stored_answers(body: Body) -> dict[str, Body]:
    return {item["target"]: item for item in body.get("status", {}).get("storedAnswers", [])}


def promote_next(
    kubectl: Kubectl, bucket: Bucket, pool: str, team: str, base: str, seed: int, alias: str
) -> tuple[Body, dict[str, Body]]:
    """Promote another adapter; return the deployment and how each arm of its evaluation got its answers."""
    uri, _ = serving.deploy(kubectl, bucket, pool, team, base, seed, alias)
    body = kubectl.get("adep", alias, team)
    assert body is not None
    entry = next(entry for entry in body["status"]["history"] if entry["uri"] == uri)
    return body, {arm["target"]: arm for arm in bucket.read_json(entry["reportURI"])["arms"]}


def test_an_evaluation_reuses_the_answers_of_the_last_one(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"r{team[5:]}"
    _, first = serving.deploy(platform, bucket, pool, team, base_digest, 80, alias)
    body = platform.get("adep", alias, team)
    assert body is not None
    assert set(stored_answers(body)) == {"base-model", first}

    # The stable revision and the base model are not asked again.
    body, arms = promote_next(platform, bucket, pool, team, base_digest, 81, alias)
    second = body["status"]["stable"]["revision"]
    assert {target: (arm["asked"], arm["reused"]) for target, arm in arms.items()} == {
        second: (4, 0),
        first: (0, 4),
        "base-model": (0, 4),
    }
    found = stored_answers(body)
    assert "reusedAt" in found[first]
    assert "reusedAt" in found["base-model"]
    assert "reusedAt" not in found[second]

    # A file that was changed is not trusted: the questions are asked again, and the file is replaced.
    tampered = bucket.read_json(found[second]["uri"])
    for answer in tampered["answers"]:
        answer["answer"] = "always right"
    bucket.put(found[second]["uri"].removeprefix(f"s3://{bucket.name}/"), json.dumps(tampered))
    body, arms = promote_next(platform, bucket, pool, team, base_digest, 82, alias)
    assert (arms[second]["asked"], arms[second]["reused"]) == (4, 0)
    assert "another digest" in arms[second]["note"]
    assert (arms["base-model"]["asked"], arms["base-model"]["reused"]) == (0, 4)
    found = stored_answers(body)
    assert "reusedAt" not in found[second]
    answers = [answer["answer"] for answer in bucket.read_json(found[second]["uri"])["answers"]]
    assert "always right" not in answers

    # An Event shows what was reused.
    events = [event for event in platform.list("events", team) if event.get("reason") == "Evaluated"]
    assert any(f"{first}: 0 answers asked for, 4 reused" in event["message"] for event in events)
