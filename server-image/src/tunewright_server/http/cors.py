"""Let web pages of the allowed origins call the server (fetch.spec.whatwg.org, "CORS protocol").

A browser asks first, with OPTIONS, and shows an answer to a page only if it names the page's origin.
"""

from __future__ import annotations

from collections.abc import Collection

from tunewright_contracts.serving_plan import REVISION_HEADER
from tunewright_server.http import asgi
from tunewright_server.http.errors import RefusalCode, RefusalError

_MAX_AGE_SECONDS = 600
_METHODS = b"GET, HEAD, POST"
_EXPOSED = f"{REVISION_HEADER}, retry-after".encode()
_PREFIX = b"access-control-"


def is_preflight(method: str, headers: asgi.Headers) -> bool:
    """Return whether a browser asks if a page may send a request."""
    asked = asgi.get_header(headers, "access-control-request-method")
    return method == "OPTIONS" and asked is not None and asgi.get_header(headers, "origin") is not None


async def answer_preflight(send: asgi.Send, headers: asgi.Headers, allowed: Collection[str]) -> None:
    """Answer a browser's question.

    Raises:
        RefusalError: 403; the origin is not allowed.
    """
    origin = asgi.get_header(headers, "origin") or ""
    if origin not in allowed:
        raise RefusalError(
            403,
            RefusalCode.ORIGIN_NOT_ALLOWED,
            f"Pages of {origin[:200]} cannot call this server; its owner can add the origin to spec.allowedOrigins of"
            " the ModelServer",
        )
    answer: asgi.Headers = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", str(_MAX_AGE_SECONDS).encode()),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
    ]
    wanted = asgi.get_header(headers, "access-control-request-headers")
    if wanted:
        answer.append((b"access-control-allow-headers", wanted.encode("latin-1")))
    await send({"type": "http.response.start", "status": 204, "headers": answer})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def replace_headers(send: asgi.Send, headers: asgi.Headers, allowed: Collection[str]) -> asgi.Send:
    """Return a ``send`` that names the page's origin in each response, if it is allowed.

    vLLM's own headers, which allow every origin, are removed.

    Args:
        send: sends to the client.
        headers: the request's.
        allowed: the allowed origins.
    """
    origin = asgi.get_header(headers, "origin")
    if origin is None and not allowed:
        return send  # vLLM adds its headers only for a browser
    own: asgi.Headers = [(b"vary", b"Origin")] if allowed else []
    if origin is not None and origin in allowed:
        own.append((b"access-control-allow-origin", origin.encode("latin-1")))
        own.append((b"access-control-expose-headers", _EXPOSED))

    async def send_with_headers(message: asgi.Message) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            kept = [(key, value) for key, value in given if not key.lower().startswith(_PREFIX)]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return send_with_headers
