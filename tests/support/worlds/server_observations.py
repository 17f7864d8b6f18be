"""Observations of one ModelServer, by default with an inspected base model, an allowed Secret,
and two pods that serve plan 3.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from support.worlds.rollout_world import BASE_DIGEST
from tunewright_contracts.clients.access_list import AccessList
from tunewright_contracts.serving_plan import PlanStatus, PodState
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.claim import ServerView
from tunewright_operator.domain.serving.observation import AccessFacts, PlanFacts, ServerObservation
from tunewright_operator.domain.serving.plan import build_plan
from tunewright_operator.domain.serving.pods import DeploymentFacts, ServerPod

UID = "server-uid"
TIME = "2026-01-01T00:00:00Z"
PODS = tuple(ServerPod(uid=uid, namespace="serving", name=uid, ip="10.0.0.1", ready=True) for uid in ("a", "b"))
PLAN = build_plan(
    ServerView(
        uid=UID,
        namespace="serving",
        served_base_name="smollm2",
        base_model_digest=BASE_DIGEST,
        max_rank=32,
        max_adapters=64,
        rollout_slots=4,
        sources=SourcePolicy("serving"),
    ),
    [],
    None,
    [],
    2,
).plan
"""Generation 3, without a tenant."""
ACCESS = AccessList(kind="AccessList", server_uid=UID, generation=3)
"""Generation 3, without a client."""


def make_model_server(*, status: dict[str, Any] | None = None, **spec: Any) -> ModelServer:
    return ModelServer.from_body(
        {
            "metadata": {"name": "pool", "namespace": "serving", "uid": UID, "generation": 7},
            "spec": {
                "baseModelRef": {"name": "smollm2"},
                "replicas": 2,
                "storage": {"secretRef": {"name": "s3"}},
                "allowedNamespaces": {"from": "All"},
                **spec,
            },
            "status": {"plan": {"generation": 3, "hash": PLAN.content_hash}} if status is None else status,
        }
    )


def make_base_model(digest: str = BASE_DIGEST) -> BaseModel:
    ready = {"type": "Ready", "status": "True", "reason": "Inspected", "lastTransitionTime": TIME}
    return BaseModel.from_body(
        {
            "metadata": {"name": "smollm2"},
            "spec": {"source": {"s3": {"uri": "s3://models/smollm2"}}, "contextLength": 2048},
            "status": {"digest": digest, "conditions": [ready]} if digest else {},
        }
    )


def make_state(uid: str, generation: int = 3, status: PlanStatus = PlanStatus.APPLIED) -> PodState:
    return PodState(pod_uid=uid, boot_id=f"{uid}-1", plan_generation=generation, plan_status=status)


def see(server: ModelServer | None = None, **changes: Any) -> ServerObservation:
    """Return an observation that needs no action, with these changes."""
    observation = ServerObservation(
        server=server or make_model_server(),
        base_model=make_base_model(),
        namespace_labels={},
        storage=StorageFacts(secret=UseFacts(exists=True, allowed=True)),
        has_signing_key=True,
        deployment=DeploymentFacts(replicas=2, ready_replicas=2),
        pods=PODS,
        states={pod.uid: make_state(pod.uid) for pod in PODS},
        plan=PlanFacts(PLAN, is_signed=True),
        access=AccessFacts(ACCESS, is_signed=True),
    )
    return dataclasses.replace(observation, **changes)
