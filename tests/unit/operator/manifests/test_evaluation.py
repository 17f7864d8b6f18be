"""The objects of an evaluation: request, Job and token."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tunewright_contracts.evaluation_report import EvaluationRequest
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import KnownAnswers
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.api.resource import NameReference, Storage
from tunewright_operator.domain.rollout.actions import WantedEvaluation
from tunewright_operator.manifests import evaluation, pods

DIGEST = "sha256:" + "a" * 64
ENGINE = "sha256:" + "e" * 64
TIME = "2026-01-01T00:00:00Z"
OWNER: dict[str, Any] = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "AdapterDeployment",
    "metadata": {"name": "support", "namespace": "team", "uid": "u"},
}
METRIC = {"type": "JSONSchema", "schema": {"type": "object"}, "minimum": "0.9", "maxRegression": "0.05"}
CANDIDATE = {
    "revision": "support--2",
    "digest": DIGEST,
    "uri": "s3://models/team/sha256-2",
    "rank": 8,
    "baseModelDigest": DIGEST,
    "acceptedAt": TIME,
}
STORED = {"target": "base-model", "key": DIGEST, "digest": DIGEST, "answers": 50, "uri": "s3://models/team/a.json"}
STABLE = {**CANDIDATE, "revision": "support--1", "since": TIME}
S3 = Storage(secret_ref=NameReference(name="s3"))
DEFAULTS = pods.PodDefaults(operator="o:1", trainer="t:1", server="s:1", pull_policy="Always", pull_secrets=("p",))
JOB = evaluation.build_evaluation_job(OWNER, "support-evaluate-1", S3, DEFAULTS)
RUNNING = {**JOB, "metadata": {**JOB["metadata"], "uid": "job-uid"}}


def build_request(candidate: dict[str, Any] | None = None, *, stable: bool = True) -> EvaluationRequest:
    deployment = AdapterDeployment.from_body(
        {
            **OWNER,
            "spec": {
                "modelName": "triage",
                "serverRef": {"name": "pool"},
                "adapter": {"uri": "s3://models/team/sha256-2"},
                "storage": {"secretRef": {"name": "s3"}},
                "rollout": {"steps": [{"evaluate": {}}]},
                "evaluation": {"metrics": [METRIC], "maxSamples": 50, "maxTokens": 64},
                "analysis": {"confidence": "0.9"},
            },
            "status": {
                "candidate": CANDIDATE | (candidate or {}),
                "storedAnswers": [{**STORED, "askedAt": TIME}],
                **({"stable": STABLE} if stable else {}),
            },
        }
    )
    assert deployment.status.candidate is not None
    wanted = WantedEvaluation(
        "support-evaluate-1",
        deployment.status.candidate,
        "s3://models/team/held-out.jsonl",
        "server-uid",
        "http://pool",
        ENGINE,
    )
    return evaluation.build_evaluation_request(deployment, wanted)


def test_a_request_has_the_values_of_the_deployment() -> None:
    request = build_request()
    assert (request.namespace, request.deployment, request.alias) == ("team", "support", "triage")
    assert (request.candidate, request.candidate_digest, request.incumbent) == ("support--2", DIGEST, "support--1")
    assert (request.server_url, request.dataset_uri) == ("http://pool", "s3://models/team/held-out.jsonl")
    assert (request.max_samples, request.max_tokens, request.confidence) == (50, 64, "0.9")
    assert [metric.to_wire() for metric in request.metrics] == [{**METRIC, "values": []}]
    assert build_request(stable=False).incumbent is None


def test_a_request_has_what_determines_an_answer() -> None:
    request = build_request({"stopTokenIDs": [2], "baseModelDigest": "sha256:" + "b" * 64})
    assert (request.engine, request.base_model_digest) == (ENGINE, "sha256:" + "b" * 64)
    assert (request.candidate_digest, request.candidate_stop_token_ids) == (DIGEST, (2,))
    assert (request.incumbent_digest, request.incumbent_stop_token_ids) == (DIGEST, None)
    assert request.known_answers == (KnownAnswers.from_wire(STORED),)
    assert build_request(stable=False).incumbent_digest is None


@pytest.mark.parametrize("uri", ["s3://models/team/sha256-2", "s3://models/sha256-2"])
def test_the_report_is_beside_the_adapter_and_not_in_it(uri: str) -> None:
    report = StorageURI.parse(build_request({"uri": uri}).report_uri)
    adapter = StorageURI.parse(uri)
    assert not report.is_within(adapter)
    assert report.is_within(StorageURI(adapter.bucket, adapter.key.rpartition("/")[0]))
    assert "team-support" in report.key


def test_each_try_has_another_report() -> None:
    tries = [{}, {"stepStartedAt": "2026-01-01T00:05:00Z"}, {"revision": "support--3"}]
    assert len({build_request(changes).report_uri for changes in tries}) == 3


def test_request_and_token_belong_to_the_job() -> None:
    request = evaluation.build_request_config_map(RUNNING, build_request())
    token = evaluation.build_token_secret(RUNNING, "secret", TIME)
    for body in (request, token):
        assert (body["metadata"]["name"], body["metadata"]["namespace"]) == ("support-evaluate-1", "team")
        assert controller_uid(body) == "job-uid"
        assert body["metadata"]["labels"] == JOB["metadata"]["labels"]
    assert request["immutable"] is True
    assert EvaluationRequest.from_json(request["data"]["evaluation.json"]) == build_request()
    assert base64.b64decode(token["data"]["token"]) == b"secret"
    assert token["metadata"]["annotations"] == {evaluation.ISSUED_AT: TIME}


def test_the_job_runs_the_evaluator_once() -> None:
    assert controller_uid(JOB) == "u"
    assert JOB["metadata"]["labels"]["tunewright.dev/role"] == "evaluate"
    assert JOB["spec"]["template"]["metadata"]["labels"] == JOB["metadata"]["labels"]
    assert JOB["spec"]["backoffLimit"] == 0
    pod = JOB["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("o:1", "Always")
    assert container["command"] == ["python", "-m", "tunewright_evaluator"]
    assert pod["restartPolicy"] == "Never"
    assert container["securityContext"] == pods.build_container_security_context()
    assert container["resources"]["limits"]["memory"]
    assert container["ports"] == [{"name": "progress", "containerPort": 8787}]


def test_the_token_is_mounted_as_a_folder_so_that_the_kubelet_renews_it() -> None:
    pod = JOB["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    assert mounts["token"]["mountPath"] == "/etc/tunewright/token"
    assert "subPath" not in mounts["token"]
    assert mounts["request"]["mountPath"] == "/etc/tunewright/evaluation.json"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["token"]["secret"]["secretName"] == "support-evaluate-1"
    assert volumes["request"]["configMap"]["name"] == "support-evaluate-1"
