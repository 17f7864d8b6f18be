"""The paths for clients, and the message for any other one."""

from __future__ import annotations

INFERENCE_PATHS = frozenset({"/v1/chat/completions", "/v1/completions"})
MODELS_PATH = "/v1/models"
PASSED_ON = frozenset({"/health", "/metrics"})
_BASE = "/v1"
_API = "POST /v1/chat/completions, POST /v1/completions, GET /v1/models and GET /v1/models/<model>"
_SHOWN = 200


def find_model(path: str) -> str | None:
    """Return the alias in a path of one model, or None for any other path."""
    prefix = f"{MODELS_PATH}/"
    alias = path.removeprefix(prefix)
    return alias if path.startswith(prefix) and alias and "/" not in alias else None


def explain_path(method: str, path: str) -> str:
    """Return the message for a request whose path, or whose method on this path, does not exist."""
    shown = path[:_SHOWN]
    plain = "/" + "/".join(part for part in path.split("/") if part)
    if plain == path and _is_known(path):
        return f"{shown} does not accept {method[:20]}; send {_list_methods(path)}"
    if _is_known(plain):
        return f"The path {shown} does not exist; use {plain[:_SHOWN]}"
    meant = _find_meant(plain)
    if meant is not None:
        return (
            f"The path {shown} does not exist; use {meant[:_SHOWN]}. The base URL of an OpenAI client ends in /v1 here,"
            " directly after host and port"
        )
    return f"The path {shown} does not exist; this server has {_API}. The base URL of an OpenAI client ends in /v1"


def _is_known(path: str) -> bool:
    return path in INFERENCE_PATHS or path in PASSED_ON or path == MODELS_PATH or find_model(path) is not None


def _list_methods(path: str) -> str:
    return "POST" if path in INFERENCE_PATHS else "GET or HEAD"


def _find_meant(path: str) -> str | None:
    """Return the path that a client with another base URL meant, such as /chat/completions or /api/v1/v1/models/x."""
    parts = path.split("/")
    # No path below /v1 has more than two parts.
    tails = ("/".join(("", *parts[start:])) for start in range(max(1, len(parts) - 2), len(parts)))
    return next((f"{_BASE}{tail}" for tail in tails if _is_known(f"{_BASE}{tail}")), None)
