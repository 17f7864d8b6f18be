"""A server's plan in the cluster: read it, write the next one, and push it to the pods."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import PLAN_KEY, PodState, ServingPlan, SignedPlan
from tunewright_operator.api.kinds import CONFIG_MAP
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.cluster import AlreadyExistsError, Body, Cluster, ConflictError, NotFoundError
from tunewright_operator.domain.serving.pods import ServerPod, find_pods_without
from tunewright_operator.manifests.model_server import build_plan_config_map, plan_name
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.runtime.clock import Now
from tunewright_operator.serving import PodAddress, PodUnreachableError, ServerPods
from tunewright_operator.signing import SigningKey, read_plan

REREAD_SECONDS = 60.0
"""The interval at which a plan that does not change is read again, in case another client has changed or deleted it."""

log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class WrittenPlan:
    """A plan as the API server has it; ``body`` is None before the first plan."""

    body: Body | None = None
    plan: ServingPlan | None = None
    signed: SignedPlan | None = None

    def is_version_of(self, body: Body) -> bool:
        """Return whether an object, read again, has not changed."""
        return self.body is not None and self.body["metadata"] == body["metadata"]

    def is_signed_by(self, key: SigningKey) -> bool:
        """Return whether pods that start now would accept the plan: they have only the current public key."""
        return self.signed is not None and key.has_signed(self.signed)


class WrittenPlans:
    """The plans of all servers in the cluster. Only this operator writes them, so each is kept for `REREAD_SECONDS`.

    A plan that another client changed meanwhile is found by the precondition of the next write.
    """

    def __init__(self, cluster: Cluster, now: Now) -> None:
        self._cluster = cluster
        self._now = now
        self._kept: dict[str, tuple[WrittenPlan, dt.datetime]] = {}

    async def read(self, owner: Mapping[str, Any]) -> WrittenPlan:
        """Return the plan that was written last; one that cannot be parsed counts as none and is replaced.

        Raises:
            NameTakenError: the ConfigMap has another owner.
        """
        metadata = owner["metadata"]
        kept = self._kept.get(metadata["uid"])
        if kept is not None and 0 <= (self._now() - kept[1]).total_seconds() < REREAD_SECONDS:
            return kept[0]
        self.forget(metadata["uid"])
        body = await self._cluster.get(CONFIG_MAP, metadata["namespace"], plan_name(metadata["name"]))
        if body is None:
            return WrittenPlan()
        if controller_uid(body) != metadata["uid"]:
            raise NameTakenError(f"ConfigMap {metadata['namespace']}/{plan_name(metadata['name'])}")
        same = kept is not None and kept[0].is_version_of(body)
        return self._keep(metadata["uid"], kept[0] if kept is not None and same else _parse(body))

    async def write(
        self, owner: Mapping[str, Any], last: WrittenPlan, plan: ServingPlan, key: SigningKey
    ) -> WrittenPlan:
        """Replace the last plan; return the new one as the API server has it.

        Raises:
            ConflictError: the plan changed since `last` was read; the decision is stale.
        """
        self.forget(owner["metadata"]["uid"])
        wanted = build_plan_config_map(owner, key.sign(plan, SignedPlan))
        try:
            if last.body is None:
                body = await self._cluster.create(wanted)
            else:
                body = await self._cluster.replace({**last.body, "data": wanted["data"]})
        except (AlreadyExistsError, NotFoundError) as error:
            raise ConflictError(str(error)) from error
        return self._keep(owner["metadata"]["uid"], _parse(body))

    def forget(self, server_uid: str) -> None:
        """Read the plan of a server from the API server the next time."""
        self._kept.pop(server_uid, None)

    def _keep(self, server_uid: str, written: WrittenPlan) -> WrittenPlan:
        self._kept[server_uid] = (written, self._now())
        return written


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
