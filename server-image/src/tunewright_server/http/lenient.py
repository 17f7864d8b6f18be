"""Read a request's values as vLLM's pydantic does (docs.pydantic.dev/latest/concepts/conversion_table), or refuse them.

vLLM accepts `"stream": 1` as true. The middleware must not read it as false: so a boolean is replaced by true or false
before vLLM sees it.
"""

from __future__ import annotations

import json
from typing import Any

from tunewright_server.http.errors import RefusalCode, RefusalError, top_level

_TRUE = frozenset({"1", "t", "y", "on", "yes", "true"})
_FALSE = frozenset({"0", "f", "n", "no", "off", "false"})
_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
"""Makes each digit a 0, and every other byte a space."""
_STEP, _LONG = 6, 19
"""Every number of 19 digits has at least 3 digits at positions that are divisible by 6."""
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def read_boolean(value: object) -> bool | None:
    """Return a boolean as pydantic reads it, or None if pydantic refuses it."""
    if isinstance(value, str):
        text = value.lower() if value.isascii() else ""
        return True if text in _TRUE else False if text in _FALSE else None
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    return None


def check_integers(body: bytes) -> None:
    """Refuse integers of more than 64 bits, which JSON parsers read differently: as rounded numbers, or not at all.

    Args:
        body: a valid JSON text, nested not too deeply for any parser.

    Raises:
        RefusalError: 400; the message names the field.
    """
    if not has_long_number(body):
        return
    found = _find_large(json.loads(body, parse_int=_parse_integer))
    if found is not None:
        where, text = found
        raise RefusalError(
            400,
            RefusalCode.INTEGER_OUT_OF_RANGE,
            f"`{where[:200]}` is {text}, an integer of more than 64 bits; send a smaller one",
            param=top_level(where),
        )


def has_long_number(body: bytes) -> bool:
    """Return whether a text has 19 digits in a row, which an integer of more than 64 bits has at least."""
    # Most texts are decided by a sixth of their bytes: a regular expression takes 30 times as long.
    few = b"0" * (_LONG // _STEP)
    return few in body[::_STEP].translate(_DIGITS) and b"0" * _LONG in body.translate(_DIGITS)


class _LargeInteger(str):
    """The first digits of an integer that is too large."""

    __slots__ = ()


def _parse_integer(text: str) -> int | _LargeInteger:
    if len(text) <= len(str(_LARGEST)) and _SMALLEST <= int(text) <= _LARGEST:
        return int(text)
    return _LargeInteger(text if len(text) <= 24 else f"{text[:24]}…")


def _find_large(data: Any) -> tuple[str, str] | None:
    stack = [("", data)]
    while stack:
        where, value = stack.pop()
        if isinstance(value, _LargeInteger):
            return where, value
        if isinstance(value, dict):
            stack.extend((f"{where}.{key}" if where else key, item) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend((f"{where}[{number}]", item) for number, item in enumerate(value))
    return None
