"""ModelClient: who may call the aliases of its namespace, known by keys of which it has only the hashes."""

from __future__ import annotations

from pydantic import Field

from tunewright_operator.api.conditions import Status
from tunewright_operator.api.resource import ApiModel, LabelSelector, Resource


class ClientKey(ApiModel):
    """A key: its public id, and the SHA-256 of the whole key in hexadecimal."""

    id: str
    sha256: str
    not_after: str | None = None


class ClientAliases(ApiModel):
    """Aliases of the client's namespace: exactly one of the fields is set."""

    all_: bool = Field(default=False, alias="all")
    names: tuple[str, ...] = ()
    selector: LabelSelector | None = None


class ModelClientSpec(ApiModel):
    """Who the client is, and what it may call."""

    keys: tuple[ClientKey, ...] = ()
    aliases: ClientAliases
    suspended: bool = False


class ClientServer(ApiModel):
    """A server of the client: how many of its replicas may answer requests, and how many of these apply the spec."""

    namespace: str
    name: str
    replicas: int = 0
    converged: int = 0


class ModelClientStatus(Status):
    """Where the client is known."""

    servers: tuple[ClientServer, ...] = ()


class ModelClient(Resource):
    """A ModelClient object."""

    spec: ModelClientSpec
    status: ModelClientStatus = ModelClientStatus()
