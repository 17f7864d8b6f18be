"""The models that clients see: the aliases of this server's plan that have an adapter."""

from __future__ import annotations

from typing import Any

import orjson

from tunewright_contracts.serving_plan import Route
from tunewright_server.http.errors import RefusalCode, RefusalError, adapter_unavailable
from tunewright_server.http.paths import MODELS_PATH
from tunewright_server.runtime import Runtime

_MOST_NAMED = 20


def list_models(runtime: Runtime) -> bytes:
    """Return the answer of GET /v1/models."""
    routes = (runtime.routes[alias] for alias in sorted(runtime.routes))
    data = [_describe(runtime, route) for route in routes if route.targets]
    return orjson.dumps({"object": "list", "data": data})


def show_model(runtime: Runtime, alias: str) -> bytes:
    """Return the answer of GET /v1/models/{alias}.

    Raises:
        RefusalError: unknown alias (404), or one without an adapter (503).
    """
    route = find_route(runtime, alias)
    if not route.targets:
        raise adapter_unavailable(alias)
    return orjson.dumps(_describe(runtime, route))


def find_route(runtime: Runtime, alias: str) -> Route:
    """Return an alias' route.

    Raises:
        RefusalError: 404; the message names models that exist.
    """
    route = runtime.routes.get(alias)
    if route is None:
        known = [name for name, other in runtime.routes.items() if other.targets]
        message = f"The model `{alias[:200]}` does not exist; {_name_some(known, alias)}"
        raise RefusalError(404, RefusalCode.MODEL_NOT_FOUND, message, param="model")
    return route


def _name_some(known: list[str], wanted: str) -> str:
    if not known:
        return "this server has no model yet"
    # One that differs only in the case of letters comes first.
    known.sort(key=lambda name: (name.casefold() != wanted.casefold(), name))
    named = ", ".join(known[:_MOST_NAMED])
    if len(known) <= _MOST_NAMED:
        return f"this server has: {named}"
    return f"this server has {len(known)} models, such as {named}; GET {MODELS_PATH} lists all of them"


def _describe(runtime: Runtime, route: Route) -> dict[str, Any]:
    return {
        "id": route.alias,
        "object": "model",
        "created": 0,
        "owned_by": route.namespace,
        "max_model_len": runtime.config.max_model_length,
    }
