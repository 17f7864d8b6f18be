"""The options of a request that matter for the judgement of its answer: they are the client's, not the revision's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

_MANY = 1 << 30
"""Stands for a number of choices that cannot be read: no length is then too long for the mean of the choices."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClientOptions:
    """What the client asked for, as vLLM reads it."""

    choices: int = 1
    """How many choices the answer has."""

    @classmethod
    def of_request(cls, data: Mapping[str, Any]) -> ClientOptions:
        """Read the options of a decoded request, before anything is added to it."""
        return cls(choices=_read_choices(data))


def _read_choices(data: Mapping[str, Any]) -> int:
    """Return the number of choices: ``n`` for each prompt; a completion can have a list of prompts."""
    given = data.get("n")
    try:
        number = 1 if given is None else int(given)
    except (TypeError, ValueError, OverflowError):
        return _MANY
    prompt = data.get("prompt")
    # A list of numbers is one prompt, as tokens.
    prompts = len(prompt) if isinstance(prompt, list) and not any(isinstance(item, int) for item in prompt) else 1
    return max(1, number * prompts)
