"""Decide which revision answers a request: one of the alias, or the one that an authorized evaluation names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tunewright_contracts.serving_plan import BASE_MODEL_TARGET, Route
from tunewright_server.access.callers import Caller
from tunewright_server.http import asgi, models, routing
from tunewright_server.http.errors import adapter_unavailable
from tunewright_server.http.identity import Evaluation
from tunewright_server.runtime import Runtime


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """The revision that answers a request. ``route`` is None for an evaluation, which is not counted."""

    alias: str
    model: str
    """The revision's name in vLLM."""
    revision: str
    """The revision's name in the answer's header."""
    route: Route | None = None
    bucket: int = 0
    stop_tokens: tuple[int, ...] = ()
    """The tokens that end the revision's answers, in addition to the base model's."""


def assign(runtime: Runtime, sender: Caller | Evaluation, headers: asgi.Headers, data: Mapping[str, Any]) -> Assignment:
    """Decide which revision answers.

    Raises:
        RefusalError: an alias that the caller cannot call (404), no allowed revision loaded (503).
    """
    alias = data["model"]
    if isinstance(sender, Evaluation):
        return _assign_evaluation(runtime, alias, sender.revision)
    route = models.find_route(runtime, sender, alias)
    key = routing.find_sticky_key(route.sticky_by, lambda name: asgi.get_header(headers, name), data)
    key = key if key is not None else routing.make_own_key()
    revision = routing.choose_target(route, key, runtime.pool.is_loaded)
    if revision is None:
        raise adapter_unavailable(alias)
    return Assignment(alias, revision, revision, route, routing.bucket_of(key), runtime.pool.stop_tokens(revision))


def find_session_fields(runtime: Runtime, sender: Caller | Evaluation, alias: str) -> tuple[str, ...]:
    """Return the fields of a request that identify sessions of an alias.

    A caller that cannot call the alias gets none, as for an alias that does not exist: a request with such a field is
    otherwise answered differently.
    """
    route = runtime.routes.get(alias)
    if route is None or (isinstance(sender, Caller) and not sender.may_call(route)):
        return ()
    return tuple(key.body_field for key in route.sticky_by if key.body_field)


def _assign_evaluation(runtime: Runtime, alias: str, revision: str) -> Assignment:
    if revision == BASE_MODEL_TARGET:
        return Assignment(alias, runtime.config.served_base_name, BASE_MODEL_TARGET)
    if not runtime.pool.is_loaded(revision):
        raise adapter_unavailable(revision)
    return Assignment(alias, revision, revision, stop_tokens=runtime.pool.stop_tokens(revision))
