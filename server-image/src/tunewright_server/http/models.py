"""The models that a caller sees: the aliases of this server's plan that it may call and that have an adapter."""

from __future__ import annotations

from typing import Any

import orjson

from tunewright_contracts.serving_plan import Route
from tunewright_server.access.callers import Caller
from tunewright_server.http.errors import RefusalCode, RefusalError, adapter_unavailable
from tunewright_server.http.paths import MODELS_PATH
from tunewright_server.runtime import Runtime

_MOST_NAMED = 20


def list_models(runtime: Runtime, caller: Caller) -> bytes:
    """Return the answer of GET /v1/models."""
    routes = (runtime.routes[alias] for alias in sorted(runtime.routes))
    data = [_describe(runtime, route) for route in routes if route.targets and caller.may_call(route)]
    return orjson.dumps({"object": "list", "data": data})


def show_model(runtime: Runtime, caller: Caller, alias: str) -> bytes:
    """Return the answer of GET /v1/models/{alias}.

    Raises:
        RefusalError: an alias that the caller cannot call (404), or one without an adapter (503).
    """
    route = find_route(runtime, caller, alias)
    if not route.targets:
        raise adapter_unavailable(alias)
    return orjson.dumps(_describe(runtime, route))


def find_route(runtime: Runtime, caller: Caller, alias: str) -> Route:
    """Return an alias' route.

    Raises:
        RefusalError: 404; the message names models that the caller may call. Other aliases do not exist for it.
    """
    route = runtime.routes.get(alias)
    if route is None or not caller.may_call(route):
        known = [name for name, other in runtime.routes.items() if other.targets and caller.may_call(other)]
        message = f"The model `{alias[:200]}` does not exist; {_name_some(known, alias)}"
        raise RefusalError(404, RefusalCode.MODEL_NOT_FOUND, message, param="model")
    return route


def _name_some(known: list[str], wanted: str) -> str:
    if not known:
        return "you can call no model of this server yet"
    # One that differs only in the case of letters comes first.
    known.sort(key=lambda name: (name.casefold() != wanted.casefold(), name))
    named = ", ".join(known[:_MOST_NAMED])
    if len(known) <= _MOST_NAMED:
        return f"you can call: {named}"
    return f"you can call {len(known)} models, such as {named}; GET {MODELS_PATH} lists all of them"


def _describe(runtime: Runtime, route: Route) -> dict[str, Any]:
    return {
        "id": route.alias,
        "object": "model",
        "created": 0,
        "owned_by": route.namespace,
        "max_model_len": runtime.config.max_model_length,
    }
