"""Rules for single values: what vLLM may get, as the type that it needs, and the refusal of anything else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from tunewright_server.http.errors import RefusalCode, RefusalError, top_level
from tunewright_server.http.lenient import read_boolean

_SHOWN = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What depends on the server."""

    max_tokens: int
    """The tokens of prompt and answer together."""
    structured_outputs: bool
    """Whether a request may constrain its answer by a schema, a pattern or a grammar."""


class _Dropped:
    """The type of `DROPPED`."""


DROPPED: Final = _Dropped()
"""The result of a rule for a field that vLLM does not get."""

Rule = Callable[[str, Any, Limits], Any]
"""Return the value for vLLM, or `DROPPED`; raise `RefusalError` for any other. The value is not null."""


def refuse(name: str, value: object, wanted: str) -> NoReturn:
    """Refuse a value.

    Args:
        name: the path of the field, such as ``tools[0].type``.
        value: the value.
        wanted: what the field can be.
    """
    text = repr(value)
    refuse_found(name, text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…", wanted)


def refuse_found(name: str, found: str, wanted: str) -> NoReturn:
    """Refuse a value that is described instead of shown, such as a long list."""
    raise RefusalError(
        400, RefusalCode.INVALID_VALUE, f"`{name[:200]}` is {found}; send {wanted}", param=top_level(name)
    )


def refuse_key(name: str, accepted: Iterable[str], reason: str = "", param: str | None = None) -> NoReturn:
    """Refuse a field that is not accepted.

    Args:
        name: the path of the field.
        accepted: the fields that are accepted there.
        reason: why this one is not, and what to do instead.
        param: the top-level field, if it is not the first part of the path.
    """
    because = f": {reason}" if reason else ""
    message = f"`{name[:200]}` is not accepted{because}; the accepted fields are {', '.join(sorted(accepted))}"
    raise RefusalError(
        400, RefusalCode.UNSUPPORTED_PARAMETER, message, param=top_level(name) if param is None else param
    )


def read_whole(name: str, value: object, low: int, high: int) -> int:
    """Return a whole number in a range; 2.0 is one, true and "2" are none.

    Raises:
        RefusalError: it is not.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        refuse(name, value, f"a whole number from {low} to {high}")
    return value


def whole(low: int, high: int) -> Rule:
    """Return the rule for a whole number."""
    return lambda name, value, _: read_whole(name, value, low, high)


def tokens(low: int) -> Rule:
    """Return the rule for a number of tokens: the context of the server is the most."""
    return lambda name, value, limits: read_whole(name, value, low, limits.max_tokens)


def number(low: float, high: float) -> Rule:
    """Return the rule for a number."""

    def check(name: str, value: Any, _: Limits) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            refuse(name, value, f"a number from {low:g} to {high:g}")
        return value

    return check


def boolean(name: str, value: Any, _: Limits) -> bool:
    """Accept a boolean as vLLM reads it."""
    read = read_boolean(value)
    if read is None:
        refuse(name, value, "true or false")
    return read


def one_of(*values: str) -> Rule:
    """Return the rule for one of some texts."""

    def check(name: str, value: Any, _: Limits) -> str:
        if not isinstance(value, str) or value not in values:
            refuse(name, value, f"one of {', '.join(values)}")
        return value

    return check


def ignored(_name: str, _value: Any, _limits: Limits) -> _Dropped:
    """Accept a field of OpenAI's API that has no effect here."""
    return DROPPED


def read_object(name: str, value: Any, keys: frozenset[str]) -> dict[str, Any]:
    """Return an object that has only some keys.

    Raises:
        RefusalError: it is none, or has another key.
    """
    if not isinstance(value, dict):
        refuse(name, value, f"an object with {', '.join(sorted(keys))}")
    if not value.keys() <= keys:
        refuse_key(f"{name}.{next(key for key in value if key not in keys)}", keys)
    return value


def read_list(name: str, value: Any, most: int, what: str) -> list[Any]:
    """Return a list of at most ``most`` items.

    Raises:
        RefusalError: it is none, or longer.
    """
    if not isinstance(value, list):
        refuse(name, value, f"a list of {what}")
    if len(value) > most:
        refuse_found(name, f"a list of {len(value)}", f"at most {most} {what}")
    return value


def read_text(name: str, value: Any, most: int) -> str:
    """Return a text of 1 to ``most`` characters.

    Raises:
        RefusalError: it is none.
    """
    if not isinstance(value, str):
        refuse(name, value, "a text")
    if not 0 < len(value) <= most:
        refuse_found(name, f"a text of {len(value)} characters", f"1 to {most}")
    return value


def nests_deeper(value: Any, levels: int) -> bool:
    """Return whether objects and lists are inside each other on more than this number of levels."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
