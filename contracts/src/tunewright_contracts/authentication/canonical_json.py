"""JSON with one meaning: every reader decodes the same values, and computes the same bytes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tunewright_contracts.document import ContractError


def canonicalize(content: Mapping[str, Any]) -> bytes:
    """Return the canonical form: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: a number is infinite or not a number.
        RecursionError: it is too deep.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def decode_object(text: bytes) -> dict[str, Any]:
    """Decode a JSON object that every reader understands in the same way.

    Raises:
        ContractError: it is not one: invalid JSON, a repeated key, NaN or Infinity, too deep, or no object.
    """
    try:
        content = json.loads(
            text, object_pairs_hook=_build_object, parse_float=_read_float, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise ContractError(f"it is not unambiguous JSON: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise ContractError("it is not a JSON object")
    return content


def _build_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("it repeats a key")
    return built


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it contains {text[:40]}, which is too large for a number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it contains {name}")
