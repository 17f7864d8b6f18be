"""The evaluation Job: it sends requests to the real servers.

It runs in the namespace of the AdapterDeployment, with the deployment's storage credentials.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from tunewright_contracts.evaluation_report import EVALUATION_REQUEST_PATH, TOKEN_PATH, EvaluationRequest
from tunewright_contracts.metrics import MetricSpec
from tunewright_contracts.progress import PROGRESS_PORT
from tunewright_operator.api import labels
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.containers import Container
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, CONFIG_MAP, GROUP, JOB, SECRET
from tunewright_operator.api.resource import ResourceRequirements, Storage
from tunewright_operator.domain.rollout.actions import WantedEvaluation
from tunewright_operator.domain.rollout.evaluation.job import find_report_uri
from tunewright_operator.domain.rollout.evaluation.stored_answers import list_known
from tunewright_operator.manifests import pods
from tunewright_operator.manifests.document_keys import build_document_key_volume
from tunewright_operator.manifests.jobs import SHORT_GRACE_SECONDS
from tunewright_operator.manifests.resources import build_resources

Body = dict[str, Any]

REQUEST_KEY: Final = PurePosixPath(EVALUATION_REQUEST_PATH).name
TOKEN_KEY: Final = PurePosixPath(TOKEN_PATH).name
ISSUED_AT: Final = f"{GROUP}/issued-at"
"""Annotation of the token's Secret: when the token was issued. The operator reads only the Secret's metadata."""
STATE_SIZE: Final = "1Gi"
DEADLINE_SECONDS: Final = 4 * 3600


def build_evaluation_request(deployment: AdapterDeployment, wanted: WantedEvaluation) -> EvaluationRequest:
    """Return the evaluator's request: score candidate, incumbent and base model on the same records."""
    spec, metadata, candidate = deployment.spec, deployment.metadata, wanted.candidate
    stable = deployment.status.stable
    return EvaluationRequest(
        namespace=metadata.namespace or "",
        deployment=metadata.name,
        alias=spec.model_name,
        server_url=wanted.server_url,
        candidate=candidate.revision,
        candidate_digest=candidate.digest,
        candidate_stop_token_ids=candidate.stop_token_ids,
        incumbent=stable.revision if stable else None,
        incumbent_digest=stable.digest if stable else None,
        incumbent_stop_token_ids=stable.stop_token_ids if stable else None,
        base_model_digest=candidate.base_model_digest,
        engine=wanted.engine,
        known_answers=list_known(deployment.status),
        dataset_uri=wanted.dataset_uri,
        dataset_digest=wanted.dataset_digest,
        report_uri=find_report_uri(deployment, candidate),
        max_samples=spec.evaluation.max_samples,
        max_tokens=spec.evaluation.max_tokens,
        metrics=tuple(
            MetricSpec.model_validate(
                {
                    "type": metric.type.value,
                    "schema": metric.json_schema,
                    "values": metric.values,
                    "minimum": metric.minimum,
                    "maxRegression": metric.max_regression,
                }
            )
            for metric in spec.evaluation.metrics
        ),
        confidence=spec.analysis.confidence,
    )


def build_request_config_map(job: Mapping[str, Any], request: EvaluationRequest) -> Body:
    """Return the immutable ConfigMap with the request; the Job owns it."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.name,
        "metadata": _build_part_metadata(job),
        "immutable": True,
        "data": {REQUEST_KEY: request.to_json()},
    }


def build_evaluation_job(owner: Mapping[str, Any], name: str, storage: Storage, defaults: pods.PodDefaults) -> Body:
    """Return the Job; its pod waits for the request and the token, which are created after the Job that owns them."""
    metadata = _build_metadata(owner, name)
    volumes, mounts = pods.join_volumes(
        (
            [{"name": "request", "configMap": {"name": name}}],
            [{"name": "request", "mountPath": EVALUATION_REQUEST_PATH, "subPath": REQUEST_KEY, "readOnly": True}],
        ),
        (
            # A whole directory, since the kubelet does not update a file that is mounted by subPath.
            [{"name": "token", "secret": {"secretName": name, "items": [{"key": TOKEN_KEY, "path": TOKEN_KEY}]}}],
            [{"name": "token", "mountPath": str(PurePosixPath(TOKEN_PATH).parent), "readOnly": True}],
        ),
        build_document_key_volume(owner),
        pods.build_ca_volume(storage),
        pods.build_scratch_volumes(STATE_SIZE),
    )
    container = {
        "name": Container.EVALUATE.value,
        "image": defaults.operator,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "tunewright_evaluator"],
        "env": [*pods.build_common_env(), *pods.build_credential_env(storage)],
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT}],
        "securityContext": pods.build_container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": build_resources(ResourceRequirements(), defaults.resources.job, accelerators=False),
        "volumeMounts": mounts,
    }
    pod_spec = {
        **pods.build_job_pod_base(defaults, storage, SHORT_GRACE_SECONDS),
        "containers": [container],
        "volumes": volumes,
    }
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": pods.build_job_pod_metadata(metadata["labels"], pod_spec), "spec": pod_spec},
        },
    }


def build_token_secret(job: Mapping[str, Any], token: str, issued_at: str) -> Body:
    """Return the Secret with the evaluator's token; the Job owns it."""
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.name,
        "metadata": {**_build_part_metadata(job), "annotations": {ISSUED_AT: issued_at}},
        "type": "Opaque",
        "data": {TOKEN_KEY: base64.b64encode(token.encode()).decode()},
    }


def _build_part_metadata(job: Mapping[str, Any]) -> Body:
    """Return the metadata of an object that a Job owns and that has the name of the Job."""
    metadata = job["metadata"]
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": dict(metadata.get("labels") or {}),
        "ownerReferences": [labels.build_owner_reference(job)],
    }


def _build_metadata(owner: Mapping[str, Any], name: str) -> Body:
    metadata = owner["metadata"]
    return {
        "name": name,
        "namespace": metadata["namespace"],
        "labels": labels.build_labels(ADAPTER_DEPLOYMENT, metadata["name"], labels.Role.EVALUATE),
        "ownerReferences": [labels.build_owner_reference(owner)],
    }
