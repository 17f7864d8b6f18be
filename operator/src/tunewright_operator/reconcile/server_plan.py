"""A server's plan in the cluster: read it, write the next one, and push it to the pods."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import PLAN_KEY, PodState, ServingPlan, SignedPlan
from tunewright_operator.api.kinds import CONFIG_MAP
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.cluster import AlreadyExistsError, Body, Cluster, ConflictError
from tunewright_operator.domain.serving.pods import ServerPod, find_pods_without
from tunewright_operator.manifests.model_server import build_plan_config_map, plan_name
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.serving import PodAddress, PodUnreachableError, ServerPods
from tunewright_operator.signing import SigningKey, read_plan

log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class WrittenPlan:
    """A plan as the API server has it; ``body`` is None before the first plan."""

    body: Body | None = None
    plan: ServingPlan | None = None
    signed: SignedPlan | None = None

    def is_signed_by(self, key: SigningKey) -> bool:
        """Return whether pods that start now would accept the plan: they have only the current public key."""
        return self.signed is not None and key.has_signed(self.signed)


async def read_written_plan(cluster: Cluster, owner: Mapping[str, Any]) -> WrittenPlan:
    """Return the plan that was written last; one that cannot be parsed counts as none and is replaced.

    Raises:
        NameTakenError: the ConfigMap has another owner.
    """
    metadata = owner["metadata"]
    body = await cluster.get(CONFIG_MAP, metadata["namespace"], plan_name(metadata["name"]))
    if body is None:
        return WrittenPlan()
    if controller_uid(body) != metadata["uid"]:
        raise NameTakenError(f"ConfigMap {metadata['namespace']}/{plan_name(metadata['name'])}")
    return _parse(body)


async def write_plan(
    cluster: Cluster, owner: Mapping[str, Any], last: WrittenPlan, plan: ServingPlan, key: SigningKey
) -> WrittenPlan:
    """Replace the last plan; return the new one as the API server has it.

    Raises:
        ConflictError: the plan changed since `last` was read; the decision is stale.
    """
    wanted = build_plan_config_map(owner, key.sign_plan(plan))
    if last.body is None:
        try:
            return _parse(await cluster.create(wanted))
        except AlreadyExistsError as error:
            raise ConflictError(str(error)) from error
    body = {**last.body, "data": wanted["data"]}
    return _parse(await cluster.replace(body))


@dataclasses.dataclass(frozen=True, slots=True)
class Pushed:
    """The pods to which a plan was pushed."""

    answered: tuple[ServerPod, ...] = ()
    failed: tuple[ServerPod, ...] = ()
    """Those that refused it or did not answer; if a pod rejects the plan, its state has the reason."""


async def push_plan(
    pods: ServerPods, own: Sequence[ServerPod], states: Mapping[str, PodState], written: WrittenPlan
) -> Pushed:
    """Push the written plan to every answering pod that does not have it."""
    plan, signed = written.plan, written.signed
    if plan is None or signed is None:
        return Pushed()
    behind = find_pods_without(plan, own, states)
    answered = await asyncio.gather(*(_push(pods, pod, signed) for pod in behind))
    return Pushed(
        answered=tuple(pod for pod, ok in zip(behind, answered, strict=True) if ok),
        failed=tuple(pod for pod, ok in zip(behind, answered, strict=True) if not ok),
    )


def _parse(body: Body) -> WrittenPlan:
    try:
        signed = SignedPlan.from_json(body["data"][PLAN_KEY])
        return WrittenPlan(body, read_plan(signed), signed)
    except (KeyError, TypeError, ValueError, ContractError) as error:
        log.warning("plan_unreadable", name=body["metadata"]["name"], error=str(error))
        return WrittenPlan(body)


def _address(pod: ServerPod) -> PodAddress:
    return PodAddress(pod.namespace, pod.name, pod.uid, pod.ip)


async def _push(pods: ServerPods, pod: ServerPod, signed: SignedPlan) -> bool:
    try:
        await pods.push_plan(_address(pod), signed)
    except PodUnreachableError as error:
        # The pod also gets the plan from its volume.
        log.info("plan_not_pushed", pod=pod.name, error=str(error))
        return False
    return True
