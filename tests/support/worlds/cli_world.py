"""A cluster at the port of the kubectl plugin, with an operator that reports, and a clock that only sleeps move."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from typing import Any

from tunewright_cli.__main__ import main
from tunewright_cli.cluster import AlreadyExistsError, Body, ClusterError, ConflictError, Resource
from tunewright_cli.session import Session
from tunewright_contracts.clients.client_key import build_client_key, hash_client_key

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NAMESPACE = "support"
SECRET = "s" * 43


def make_key(letter: str) -> str:
    return build_client_key(letter * 12, SECRET)


def entry(letter: str, end: str | None = None) -> Body:
    """Return the entry of the key of a letter, whose id is this letter twelve times."""
    found = {"id": letter * 12, "sha256": hash_client_key(make_key(letter))}
    return found if end is None else {**found, "notAfter": end}


class CliCluster:
    """Objects of one namespace. ``refuse`` is asked before each request, with its verb and the resource."""

    namespace = NAMESPACE

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, str], Body] = {}
        self.requests: list[str] = []
        self.refuse: Callable[[str, Resource], None] = lambda verb, resource: None
        self._version = 0

    def get(self, resource: Resource, name: str) -> Body | None:
        self._ask("get", resource)
        return copy.deepcopy(self.objects.get((resource, name)))

    def list_all(self, resource: Resource) -> list[Body]:
        self._ask("list", resource)
        return [copy.deepcopy(body) for (kind, _), body in self.objects.items() if kind is resource]

    def create(self, resource: Resource, body: Body, *, dry_run: bool = False) -> Body:
        self._ask("check" if dry_run else "create", resource)
        name = body["metadata"]["name"]
        if (resource, name) in self.objects:
            raise AlreadyExistsError(f"{resource} {name} already exists")
        return self._store(resource, body, dry_run=dry_run)

    def patch(self, resource: Resource, name: str, changes: Body, *, dry_run: bool = False) -> Body:
        self._ask("check" if dry_run else "patch", resource)
        found = self.objects[resource, name]
        version = changes["metadata"]["resourceVersion"]
        if version != found["metadata"]["resourceVersion"]:
            raise ConflictError(f"{resource} {name} has another version than {version}")
        return self._store(resource, merge(found, changes), dry_run=dry_run)

    def write(self, resource: Resource, name: str, **fields: Any) -> Body:
        """Write an object as another client of the API server would."""
        found = self.objects.get((resource, name), {"metadata": {"name": name, "generation": 0}})
        return self._store(resource, merge(found, fields), dry_run=False)

    def _ask(self, verb: str, resource: Resource) -> None:
        self.requests.append(f"{verb} {resource}")
        self.refuse(verb, resource)

    def _store(self, resource: Resource, body: Body, *, dry_run: bool) -> Body:
        stored = copy.deepcopy(body)
        metadata = stored["metadata"]
        self._version += not dry_run
        metadata.update(namespace=NAMESPACE, resourceVersion=str(self._version), generation=self._version)
        if not dry_run:
            self.objects[resource, metadata["name"]] = stored
        return copy.deepcopy(stored)


class CliWorld:
    """Runs commands. ``operator`` is called at each sleep, that is, whenever a command waits."""

    def __init__(self) -> None:
        self.cluster = CliCluster()
        self.now = START
        self.operator: Callable[[], None] = self.report
        self.connected = 0

    def run(self, *argv: str) -> int:
        return main(argv, Session(self._connect, now=lambda: self.now, sleep=self._sleep))

    def add_client(self, *keys: Body, name: str = "web", aliases: Body | None = None, **spec: Any) -> None:
        aliases = aliases or {"names": ["triage"]}
        self.cluster.write(Resource.MODEL_CLIENT, name, spec={"keys": list(keys), "aliases": aliases, **spec})

    def client(self, name: str = "web") -> Body:
        return self.cluster.objects[Resource.MODEL_CLIENT, name]

    def key_ids(self, name: str = "web") -> list[str]:
        return [key["id"] for key in self.client(name)["spec"].get("keys", ())]

    def secret(self, name: str) -> Body | None:
        return self.cluster.objects.get((Resource.SECRET, name))

    def report(self, propagated: str = "True", ready: str = "True", converged: int = 3, message: str = "all") -> None:
        """Write the status of every client, as the operator does, without a new generation."""
        for (resource, _), body in self.cluster.objects.items():
            if resource is Resource.MODEL_CLIENT:
                conditions = [
                    {
                        "type": kind,
                        "status": status,
                        "message": f"{kind}: {message}",
                        "observedGeneration": body["metadata"]["generation"],
                    }
                    for kind, status in (("Ready", ready), ("Propagated", propagated))
                ]
                server = {"namespace": "serving", "name": "pool", "replicas": 3, "converged": converged}
                body["status"] = {"conditions": conditions, "servers": [server]}

    def _connect(self) -> CliCluster:
        self.connected += 1
        return self.cluster

    def _sleep(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        self.operator()


def refusing(verb: str, resource: Resource, message: str = "refused") -> Callable[[str, Resource], None]:
    """Return a rule by which the cluster refuses one kind of request."""

    def refuse(asked: str, kind: Resource) -> None:
        if (asked, kind) == (verb, resource):
            raise ClusterError(message)

    return refuse


def merge(found: Body, changes: Body) -> Body:
    """Return an object with a merge patch (RFC 7386) without deletions."""
    merged = dict(found)
    for name, value in changes.items():
        merged[name] = merge(merged.get(name) or {}, value) if isinstance(value, dict) else value
    return merged
