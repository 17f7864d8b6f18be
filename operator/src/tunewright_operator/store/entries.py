"""What the store keeps of one object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.resource import Metadata, Resource
from tunewright_operator.domain.rollout.jobs import SelectableJob
from tunewright_operator.runtime.key import Key

R = TypeVar("R", bound=Resource)

Address = tuple[str | None, str]
"""Namespace (None for a cluster-scoped kind) and name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """The object that an entry was made of, and its version."""

    namespace: str | None
    name: str
    uid: str
    version: int
    """The resourceVersion: of two versions of objects of one kind, the higher one is the later one."""

    @property
    def address(self) -> Address:
        """The object's namespace and name."""
        return self.namespace, self.name


@dataclasses.dataclass(slots=True, eq=False)
class ParsedJob:
    """A FineTuneJob as it was parsed for its entry; the store drops it while it parses many others."""

    resource: FineTuneJob | None
    metadata: Mapping[str, Any]
    """The whole metadata, except the managed fields; only while there is a resource."""

    def drop(self) -> None:
        """Drop it, because it takes five times the memory of its document."""
        self.resource, self.metadata = None, {}


@dataclasses.dataclass(frozen=True, slots=True)
class StoredJob:
    """A FineTuneJob. Of one that has ended, only what other loops read of it is kept."""

    origin: Origin
    generation: int
    deleting: bool
    labels: Mapping[str, str]
    base_model: str
    ended: bool
    """Whether the job has a result, and the status shows its present spec: its loop has nothing left to do.

    A job that was stopped by a limit has not ended once that limit is raised.
    """
    document: bytes | None
    """The object as JSON, without the fields that no decision reads; None if it has ended."""
    selectable: SelectableJob | None
    """None if this operator's version of the API cannot read the job."""
    problem: str = ""
    """Why it cannot be read."""
    parsed: ParsedJob | None = dataclasses.field(default=None, compare=False, repr=False)
    """The parsed document, if it is among the last ones: its loop reads the job right after most changes."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredResource(Generic[R]):
    """A custom resource of another kind, parsed."""

    origin: Origin
    metadata: Metadata
    identity: Mapping[str, Any]
    """The whole metadata, except the managed fields: a status write must repeat them."""
    refers_to: Address | None
    """The ModelServer of an AdapterDeployment; the BaseModel of a ModelServer."""
    resource: R | None
    """None if this operator's version of the API cannot read it."""
    problem: str = ""
    """Why it cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredChild:
    """An object that the operator created, or the pod or ReplicaSet of such an object."""

    origin: Origin
    owner: Key | None
    """The custom resource that the labels name."""
    controller: str | None
    """The UID of its controller."""
    done: bool
    """Whether it is a Job that has ended and expires, so that no loop has anything to do with it."""
    has_finalizers: bool
    """Whether it exists for some time after its deletion."""
    document: bytes
    """The object as JSON, without the fields that no decision reads."""


Entry = StoredJob | StoredResource[Any] | StoredChild
