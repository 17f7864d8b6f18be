"""A server's plan and access list in the cluster: read them, write the next ones, and push them to the pods."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import structlog

from tunewright_contracts.clients.access_list import ACCESS_KEY, AccessList, SignedAccessList
from tunewright_contracts.document import ContractError, Document, SignedDocument
from tunewright_contracts.serving_plan import PLAN_KEY, PodState, ServingPlan, SignedPlan
from tunewright_operator.api.kinds import CONFIG_MAP
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.cluster import AlreadyExistsError, Body, Cluster, ConflictError, NotFoundError
from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.manifests.model_server import access_name, build_signed_config_map, plan_name
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.runtime.clock import Now
from tunewright_operator.serving import PodAddress, PodUnreachableError
from tunewright_operator.signing import SigningKey

REREAD_SECONDS = 60.0
"""The interval at which an unchanged document is read again, in case another client has changed or deleted it.
"""

log = structlog.get_logger(__name__)

D = TypeVar("D", bound=Document)
S = TypeVar("S", bound=SignedDocument)


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentKind(Generic[D, S]):
    """One of the signed documents of a server; ``key`` is its key in the ConfigMap."""

    document: type[D]
    signed: type[S]
    key: str
    config_map_name: Callable[[str], str]


PLANS = DocumentKind(ServingPlan, SignedPlan, PLAN_KEY, plan_name)
ACCESS_LISTS = DocumentKind(AccessList, SignedAccessList, ACCESS_KEY, access_name)


@dataclasses.dataclass(frozen=True)
class Written(Generic[D, S]):
    """A document as the API server has it; ``body`` is None before the first one."""

    body: Body | None = None
    document: D | None = None
    signed: S | None = None

    def is_version_of(self, body: Body) -> bool:
        """Return whether an object, read again, has not changed."""
        return self.body is not None and self.body["metadata"] == body["metadata"]

    def is_signed_by(self, key: SigningKey) -> bool:
        """Return whether pods that start now would accept it: they have only the current public key."""
        return self.signed is not None and key.has_signed(self.signed)


WrittenPlan = Written[ServingPlan, SignedPlan]
WrittenAccess = Written[AccessList, SignedAccessList]


class WrittenDocuments(Generic[D, S]):
    """The documents of one kind of all servers. Only this operator writes them, so each is kept for `REREAD_SECONDS`.

    A document that another client changed meanwhile is found by the precondition of the next write.
    """

    def __init__(self, kind: DocumentKind[D, S], cluster: Cluster, now: Now) -> None:
        self._kind = kind
        self._cluster = cluster
        self._now = now
        self._kept: dict[str, tuple[Written[D, S], dt.datetime]] = {}

    async def read(self, owner: Mapping[str, Any]) -> Written[D, S]:
        """Return the document that was written last; one that cannot be parsed counts as none and is replaced.

        Raises:
            NameTakenError: the ConfigMap has another owner.
        """
        metadata = owner["metadata"]
        kept = self._kept.get(metadata["uid"])
        if kept is not None and 0 <= (self._now() - kept[1]).total_seconds() < REREAD_SECONDS:
            return kept[0]
        self.forget(metadata["uid"])
        name = self._kind.config_map_name(metadata["name"])
        body = await self._cluster.get(CONFIG_MAP, metadata["namespace"], name)
        if body is None:
            return Written()
        if controller_uid(body) != metadata["uid"]:
            raise NameTakenError(f"ConfigMap {metadata['namespace']}/{name}")
        same = kept is not None and kept[0].is_version_of(body)
        return self._keep(metadata["uid"], kept[0] if kept is not None and same else self._parse(body))

    async def write(self, owner: Mapping[str, Any], last: Written[D, S], document: D, key: SigningKey) -> Written[D, S]:
        """Replace the last document; return the new one as the API server has it.

        Raises:
            ConflictError: the document changed since `last` was read; the decision is stale.
        """
        self.forget(owner["metadata"]["uid"])
        kind = self._kind
        name = kind.config_map_name(owner["metadata"]["name"])
        wanted = build_signed_config_map(owner, name, kind.key, key.sign(document, kind.signed))
        try:
            if last.body is None:
                body = await self._cluster.create(wanted)
            else:
                body = await self._cluster.replace({**last.body, "data": wanted["data"]})
        except (AlreadyExistsError, NotFoundError) as error:
            raise ConflictError(str(error)) from error
        return self._keep(owner["metadata"]["uid"], self._parse(body))

    def forget(self, server_uid: str) -> None:
        """Read the document of a server from the API server the next time."""
        self._kept.pop(server_uid, None)

    def _keep(self, server_uid: str, written: Written[D, S]) -> Written[D, S]:
        self._kept[server_uid] = (written, self._now())
        return written

    def _parse(self, body: Body) -> Written[D, S]:
        # The signature is not checked: the operator reads only documents that it wrote.
        try:
            signed = self._kind.signed.from_json(body["data"][self._kind.key])
            return Written(body, self._kind.document.from_json(signed.payload_bytes()), signed)
        except (KeyError, TypeError, ValueError, ContractError) as error:
            log.warning("document_unreadable", name=body["metadata"]["name"], error=str(error))
            return Written(body)


class ServerDocuments:
    """The plans and the access lists of all servers."""

    def __init__(self, cluster: Cluster, now: Now) -> None:
        self.plans = WrittenDocuments(PLANS, cluster, now)
        self.lists = WrittenDocuments(ACCESS_LISTS, cluster, now)

    def forget(self, server_uid: str) -> None:
        """Read the documents of a server from the API server the next time."""
        self.plans.forget(server_uid)
        self.lists.forget(server_uid)


@dataclasses.dataclass(frozen=True, slots=True)
class Pushed:
    """The pods to which a document was pushed."""

    answered: tuple[ServerPod, ...] = ()
    failed: tuple[ServerPod, ...] = ()
    """Those that refused it or did not answer; if a pod rejects the document, its state has the reason."""


async def push(
    written: Written[D, S],
    pods: Iterable[ServerPod],
    states: Mapping[str, PodState],
    find_behind: Callable[[D, Iterable[ServerPod], Mapping[str, PodState]], tuple[ServerPod, ...]],
    call: Callable[[PodAddress, S], Awaitable[None]],
) -> Pushed:
    """Push a written document, by a call of `ServerPods`, to the answering pods that do not have it."""
    document, signed = written.document, written.signed
    if document is None or signed is None:
        return Pushed()
    behind = find_behind(document, pods, states)
    answered = await asyncio.gather(*(_push(call, pod, signed) for pod in behind))
    return Pushed(
        answered=tuple(pod for pod, ok in zip(behind, answered, strict=True) if ok),
        failed=tuple(pod for pod, ok in zip(behind, answered, strict=True) if not ok),
    )


async def _push(call: Callable[[PodAddress, S], Awaitable[None]], pod: ServerPod, signed: S) -> bool:
    try:
        await call(PodAddress(pod.namespace, pod.name, pod.uid, pod.ip), signed)
    except PodUnreachableError as error:
        # The pod also gets the document from its volume.
        log.info("document_not_pushed", pod=pod.name, error=str(error))
        return False
    return True
