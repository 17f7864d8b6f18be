"""Identify the sender of a request by its headers, before its body is read."""

from __future__ import annotations

import dataclasses
import time

from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_server.access.callers import Caller
from tunewright_server.auth import EVALUATE_SCOPE, AuthError
from tunewright_server.http import asgi
from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.runtime import Runtime

_AUTHORIZATION, _AZURE = b"authorization", b"api-key"
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)
"""RFC 6750, section 3."""


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """The sender is an evaluation, which the operator allowed to call a revision."""

    revision: str


def identify(runtime: Runtime, headers: asgi.Headers) -> Caller | Evaluation:
    """Return who sends a request to a model.

    Raises:
        RefusalError: no valid key or token (401), a revision that the token does not allow (403), no access list
            yet (503).
    """
    revision = asgi.get_header(headers, EVALUATE_HEADER)
    return identify_client(runtime, headers) if revision is None else _verify_evaluation(runtime, headers, revision)


def identify_client(runtime: Runtime, headers: asgi.Headers) -> Caller:
    """Return the client that sends a request.

    Raises:
        RefusalError: no valid key (401), no access list yet (503).
    """
    if runtime.callers is None:
        raise RefusalError(503, RefusalCode.NOT_STARTED, "The server does not know its clients yet", retry_after=1)
    caller = runtime.callers.identify(find_token(headers), time.time())
    if caller is None:
        # One message for every case: it must not show whether a key exists.
        raise RefusalError(
            401,
            RefusalCode.INVALID_API_KEY,
            "The API key is missing, unknown, expired or revoked; send `Authorization: Bearer <key>` with a key of a"
            " ModelClient in the namespace of the model",
            more_headers=_CHALLENGE,
        )
    return caller


def find_token(headers: asgi.Headers) -> str | None:
    """Return the token of a request, from ``Authorization: Bearer`` or from ``api-key`` as Azure's clients send it.

    Different ones are an invalid token, not the first one: a proxy could have checked another one.
    """
    tokens: list[str] = []
    for name, value in headers:
        if name == _AUTHORIZATION:
            kind, _, token = value.decode("latin-1").partition(" ")
            tokens.append(token.strip() if kind.lower() == "bearer" else "")
        elif name == _AZURE:
            tokens.append(value.decode("latin-1").strip())
    return " ".join(dict.fromkeys(tokens)) if tokens else None


def _verify_evaluation(runtime: Runtime, headers: asgi.Headers, revision: str) -> Evaluation:
    try:
        authorization = asgi.get_header(headers, "authorization")
        claims = runtime.key.verify_token(authorization, runtime.config.server_uid, EVALUATE_SCOPE)
    except AuthError as error:
        raise RefusalError(401, RefusalCode.UNAUTHORIZED, str(error)) from error
    allowed = claims.get("revisions")
    if not isinstance(allowed, list) or revision not in allowed:
        raise RefusalError(403, RefusalCode.FORBIDDEN, f"The token does not allow the evaluation of {revision[:200]}")
    return Evaluation(revision)
