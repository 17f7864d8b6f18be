"""Decide which revision answers a request: one of the alias, or the one that an authorized evaluation names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tunewright_contracts.serving_plan import BASE_MODEL_TARGET, EVALUATE_HEADER, Route
from tunewright_server.auth import EVALUATE_SCOPE, AuthError
from tunewright_server.http import asgi, models, routing
from tunewright_server.http.errors import RefusalCode, RefusalError, adapter_unavailable
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


def assign(runtime: Runtime, headers: asgi.Headers, data: Mapping[str, Any]) -> Assignment:
    """Decide which revision answers.

    Raises:
        RefusalError: unknown alias (404), no allowed revision loaded (503), evaluation not allowed (401, 403).
    """
    alias = data["model"]
    evaluated = asgi.get_header(headers, EVALUATE_HEADER)
    if evaluated is not None:
        return _assign_evaluation(runtime, headers, alias, evaluated)
    route = models.find_route(runtime, alias)
    key = routing.find_sticky_key(route.sticky_by, lambda name: asgi.get_header(headers, name), data)
    key = key if key is not None else routing.make_own_key()
    revision = routing.choose_target(route, key, runtime.pool.is_loaded)
    if revision is None:
        raise adapter_unavailable(alias)
    return Assignment(alias, revision, revision, route, routing.bucket_of(key), runtime.pool.stop_tokens(revision))


def _assign_evaluation(runtime: Runtime, headers: asgi.Headers, alias: str, revision: str) -> Assignment:
    try:
        authorization = asgi.get_header(headers, "authorization")
        claims = runtime.key.verify_token(authorization, runtime.config.server_uid, EVALUATE_SCOPE)
    except AuthError as error:
        raise RefusalError(401, RefusalCode.UNAUTHORIZED, str(error)) from error
    allowed = claims.get("revisions")
    if not isinstance(allowed, list) or revision not in allowed:
        raise RefusalError(403, RefusalCode.FORBIDDEN, f"The token does not allow the evaluation of {revision[:200]}")
    if revision == BASE_MODEL_TARGET:
        return Assignment(alias, runtime.config.served_base_name, BASE_MODEL_TARGET)
    if not runtime.pool.is_loaded(revision):
        raise adapter_unavailable(revision)
    return Assignment(alias, revision, revision, stop_tokens=runtime.pool.stop_tokens(revision))
