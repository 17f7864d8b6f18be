"""A FineTuneJob from apply to adapter, in real pods with the real Unsloth."""

from __future__ import annotations

import json

import pytest

from e2e.harness.bucket import Bucket
from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, is_false, is_true, names, unwrap, wait_until

pytestmark = pytest.mark.e2e


def ended(body: Body) -> bool:
    return is_true(body, "Succeeded") or is_false(body, "Succeeded")


def succeed(kubectl: Kubectl, name: str, team: str, timeout: float = 420) -> Body:
    body = kubectl.wait_for("ftj", name, team, ended, timeout=timeout)
    assert is_true(body, "Succeeded"), condition(body, "Succeeded")
    return body


def train_pods(kubectl: Kubectl, team: str) -> list[Body]:
    return kubectl.list("pods", team, "tunewright.dev/role=train")


def run_folder(body: Body) -> str:
    """Return the prefix of a job's run files in the bucket."""
    metadata = body["metadata"]
    folder = f"{metadata['namespace']}/{metadata['name']}-{metadata['uid'][:8]}"
    return f"{body['spec']['output']['uri']}/runs/{folder}"


def read_log(kubectl: Kubectl, team: str, job: str, event: str) -> Body:
    """Return the log line of an event from a Job's pod; there must be exactly one."""
    log = kubectl.run("logs", "-n", team, f"job/{job}").stdout
    (found,) = [json.loads(line) for line in log.splitlines() if f'"event": "{event}"' in line]
    return dict(found)


def test_dataset_becomes_an_adapter(platform: Kubectl, team: str, bucket: Bucket) -> None:
    bad = '{"messages": [{"role": "user", "content": "no answer"}]}\n'
    duplicate = build_records(1)
    job = build_job("first", team)
    del job["spec"]["training"]["quantization"]  # NF4, which the other tests do not use because it is slower on a CPU
    platform.apply(build_dataset("data", team, build_records(60) + bad + duplicate), job)
    body = succeed(platform, "first", team)

    status = body["status"]
    dataset = status["dataset"]
    assert dataset["train"] + dataset["validation"] + dataset["evaluation"] == 60
    assert (dataset["skipped"], dataset["duplicates"]) == (1, 1)
    assert {item["type"] for item in status["conditions"] if item["status"] == "True"} >= {
        "Succeeded", "DatasetReady", "Trained", "Evaluated", "Published",
    }  # fmt: skip
    (score,) = status["evaluation"]
    assert score["type"] == "ExactMatch"
    assert 0 <= float(score["base"]) <= 1
    assert status["progress"]["step"] == status["progress"]["totalSteps"] == 6

    adapter = status["adapter"]
    manifest = bucket.read_json(f"{adapter['uri']}/manifest.json")
    assert manifest["digest"] == adapter["digest"]
    assert manifest["rank"] == 8
    assert manifest["stopTokenIds"] == adapter["stopTokenIDs"] == [2], "<|im_end|>, which ends the template's answers"
    assert manifest["job"] == {"namespace": team, "name": "first", "uid": body["metadata"]["uid"]}
    assert (manifest["training"]["batchSize"], manifest["training"]["quantization"]) == (4, "NF4")
    printed = read_log(platform, team, "first-train-1", "training_configuration")
    assert manifest["training"].items() <= printed.items()
    metrics = bucket.read_lines(f"{run_folder(body)}/metrics-1.jsonl")
    assert [row["step"] for row in metrics if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in metrics if "eval_loss" in row] == [2, 4, 6]
    assert all(row.get("loss", row.get("eval_loss", 1)) > 0 for row in metrics)
    (skipped,) = bucket.read_lines(f"{run_folder(body)}/invalid-records.jsonl")
    assert (skipped["file"], skipped["line"]) == ("records/data.jsonl", 61)
    config = bucket.read_json(f"{adapter['uri']}/adapter_config.json")
    assert config["r"] == 8
    assert "/" not in config["base_model_name_or_path"]
    assert b"ExactMatch" in bucket.read(f"{adapter['uri']}/README.md")
    held_out = bucket.read(adapter["evaluationDatasetURI"]).decode().splitlines()
    assert len(held_out) == dataset["evaluation"]
    train = bucket.read(f"{dataset['uri']}/train.jsonl").decode().splitlines()
    assert not set(held_out) & set(train)

    def expire() -> bool:
        jobs = platform.list("jobs", team)
        return len(jobs) == 2 and all(job["spec"].get("ttlSecondsAfterFinished", 0) >= 3600 for job in jobs)

    wait_until(expire, timeout=30, describe=lambda: repr(platform.list("jobs", team)))

    line = platform.run("get", "ftj", "first", "-n", team).stdout.splitlines()[1]
    assert line.split()[:6] == ["first", "Succeeded", "100", "ExactMatch", score["base"], score["tuned"]]
    described = platform.run("describe", "ftj", "first", "-n", team).stdout
    assert "data.jsonl:61" in described
    assert "assistant" in described


def test_same_job_again_trains_the_same_adapter_from_the_same_data(platform: Kubectl, team: str) -> None:
    platform.apply(build_dataset("data", team, build_records(40)), build_job("one", team), build_job("two", team))
    one = succeed(platform, "one", team)["status"]
    two = succeed(platform, "two", team)["status"]
    assert one["dataset"]["digest"] == two["dataset"]["digest"]
    assert one["dataset"]["uri"] == two["dataset"]["uri"]


def test_trainer_killed_while_it_trains_is_resumed_from_its_checkpoint(platform: Kubectl, team: str) -> None:
    job = build_job("killed", team)
    job["spec"]["training"] |= {"maxSteps": 200, "checkpointSteps": 5}
    platform.apply(build_dataset("data", team, build_records(40)), job)
    platform.wait_for(
        "ftj",
        "killed",
        team,
        lambda body: body.get("status", {}).get("progress", {}).get("checkpointStep", 0) >= 5,
        timeout=300,
    )
    (pod,) = train_pods(platform, team)
    platform.run("delete", "pod", pod["metadata"]["name"], "-n", team, "--grace-period=0", "--force")

    body = succeed(platform, "killed", team, timeout=600)
    assert body["status"]["attempt"] == 2
    assert body["status"]["restarts"] == 1
    found = read_log(platform, team, "killed-train-2", "checkpoint_found")
    assert found["step"] >= 5
    assert "/checkpoints/1-" in found["uri"]


def test_suspension_keeps_a_checkpoint_and_frees_the_node(platform: Kubectl, team: str, bucket: Bucket) -> None:
    job = build_job("paused", team)
    job["spec"]["training"] |= {"maxSteps": 300, "checkpointSteps": 100}
    platform.apply(build_dataset("data", team, build_records(40)), job)
    platform.wait_for(
        "ftj", "paused", team, lambda body: body.get("status", {}).get("progress", {}).get("step", 0) >= 3, timeout=300
    )
    platform.patch("ftj", "paused", team, {"spec": {"suspend": True}})
    platform.wait_for("ftj", "paused", team, lambda body: body["status"].get("phase") == "Suspended", timeout=120)
    wait_until(lambda: train_pods(platform, team) == [], timeout=60)
    newest = max(key for key in bucket.keys(f"adapters/{team}/runs/") if key.endswith("/COMPLETE"))

    # Another writer in the bucket stores a checkpoint of a later step. It is skipped: it lacks a valid code.
    folder = newest.removesuffix("/COMPLETE")
    forged = f"{folder.rpartition('-')[0]}-000299"
    for key in bucket.keys(f"{folder}/"):
        data = bucket.read(f"s3://{bucket.name}/{key}")
        if key == newest:
            data = json.dumps(json.loads(data) | {"step": 299}).encode()
        bucket.put(key.replace(folder, forged), data)

    platform.patch("ftj", "paused", team, {"spec": {"suspend": False}})
    body = succeed(platform, "paused", team, timeout=600)
    assert body["status"]["attempt"] == 2
    assert body["status"].get("restarts", 0) == 0
    skipped = read_log(platform, team, "paused-train-2", "checkpoint_skipped")
    assert forged in skipped["uri"]
    assert "does not match: the content was changed" in skipped["problem"]
    assert folder in read_log(platform, team, "paused-train-2", "checkpoint_found")["uri"]


def test_trainer_out_of_memory_retries_with_smaller_batches_and_reports_it(platform: Kubectl, team: str) -> None:
    # Enough memory to load the model, too little to train weights of this rank.
    resources = {"requests": {"memory": "500Mi"}, "limits": {"memory": "1Gi"}}
    job = build_job("hungry", team, baseModelRef={"name": "smollm2"}, resources=resources)
    job["spec"]["training"] |= {"batchSize": 2, "lora": {"rank": 512, "alpha": 512}}
    platform.apply(build_dataset("data", team, build_records(40)), job)
    body = platform.wait_for("ftj", "hungry", team, ended, timeout=420)
    found = condition(body, "Succeeded")
    assert (found["status"], found["reason"]) == ("False", "OutOfMemory")
    assert "exit code 137 (SIGKILL)" in found["message"]
    lines = found["message"].partition("Its last log lines: ")[2].partition(" One record at a time")[0].strip(" ….")
    assert lines
    assert unwrap(lines) in unwrap(platform.run("logs", "-n", team, "job/hungry-train-2").stdout)
    assert "resources.limits" in found["message"]
    assert body["status"]["attempt"] == 2, "2 records at a time, then 1, then no more"
    assert train_pods(platform, team) == [] or all(
        pod["status"]["phase"] == "Failed" for pod in train_pods(platform, team)
    )


def test_a_real_model_learns(platform: Kubectl, team: str) -> None:
    """The other tests train random weights; this one trains SmolLM2-135M, which learns one answer within a minute."""
    job = build_job("real", team, baseModelRef={"name": "smollm2"})
    job["spec"]["training"] |= {"maxSteps": 20, "learningRate": "2e-3", "checkpointSteps": 20}
    job["spec"]["evaluation"] |= {"maxSamples": 8, "maxTokens": 8}
    same = [(f"Thing {number} is the colour of what?", "violet") for number in range(40)]
    text = "".join(
        json.dumps({"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]}) + "\n"
        for ask, answer in same
    )
    platform.apply(build_dataset("data", team, text), job)
    status = succeed(platform, "real", team, timeout=900)["status"]
    (score,) = status["evaluation"]
    assert float(score["base"]) < 0.5
    assert float(score["tuned"]) > 0.9


def test_deletion_while_it_trains_leaves_nothing_running(platform: Kubectl, team: str) -> None:
    job = build_job("gone", team)
    job["spec"]["training"] |= {"maxSteps": 5000}
    platform.apply(build_dataset("data", team, build_records(40)), job)
    wait_until(lambda: len(train_pods(platform, team)) == 1, timeout=180)
    platform.delete("ftj", "gone", team)
    # The timeout is below the trainer's grace period: the trainer must handle SIGTERM, even in its first second.
    wait_until(
        lambda: platform.list("jobs,pods", team) == [],
        timeout=90,
        describe=lambda: json.dumps(names(platform.list("jobs,pods", team))),
    )


def test_deadline_ends_a_job_and_its_message_names_the_field(platform: Kubectl, team: str) -> None:
    job = build_job("late", team, activeDeadlineSeconds=45)
    job["spec"]["training"] |= {"maxSteps": 100000}
    platform.apply(build_dataset("data", team, build_records(40)), job)
    body = platform.wait_for("ftj", "late", team, ended, timeout=300)
    found = condition(body, "Succeeded")
    assert (found["status"], found["reason"]) == ("False", "DeadlineExceeded")
    assert "activeDeadlineSeconds" in found["message"]
    wait_until(lambda: train_pods(platform, team) == [], timeout=120)


def test_a_pod_that_a_quota_refuses_is_reported_and_created_when_the_quota_allows_it(
    platform: Kubectl, team: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods", "namespace": team},
        "spec": {"hard": {"pods": "0"}},
    }
    job = build_job("refused", team)
    platform.apply(quota, build_dataset("data", team, build_records(20)), job)

    def is_refused(body: Body) -> bool:
        return bool(condition(body, "Reconciling").get("reason") == "PodRefused")

    refused = platform.wait_for("ftj", "refused", team, is_refused, timeout=60)
    message = condition(refused, "Reconciling")["message"]
    assert "is forbidden: " in message
    assert "no-pods" in message
    platform.delete("resourcequota", "no-pods", team)
    platform.wait_for("ftj", "refused", team, lambda body: is_true(body, "DatasetReady"), timeout=240)
    platform.delete("ftj", "refused", team)
