"""The options of a request that matter for the judgement of its answer: they are the client's, not the revision's."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

_MANY = 1 << 30
"""Stands for a number of choices that cannot be read: no length is then too long for the mean of the choices."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClientOptions:
    """What the client asked for, as vLLM reads it."""

    choices: int = 1
    """How many choices the answer has."""
    limits_tokens: bool = False
    """The length is the client's choice: it set a limit, or it ignores the token that ends an answer."""
    stop_token_ids: frozenset[int] = frozenset()

    @classmethod
    def of_request(cls, data: Mapping[str, Any], taught: Collection[int] = ()) -> ClientOptions:
        """Read the options of a decoded request, before anything is added to it.

        Args:
            data: the request.
            taught: the tokens that the revision learned to end answers with; they cut none, also if the client names
                them.
        """
        stop_token_ids = data.get("stop_token_ids")
        return cls(
            choices=_read_choices(data),
            limits_tokens=_limits_tokens(data),
            stop_token_ids=frozenset(item for item in stop_token_ids if isinstance(item, int) and item not in taught)
            if isinstance(stop_token_ids, list)
            else frozenset(),
        )

    def cut(self, finish_reason: object, stop_reason: object) -> bool:
        """Return whether these options ended a choice, and not the model or the context's length.

        Args:
            finish_reason: vLLM's, of OpenAI's API.
            stop_reason: vLLM's: the stop sequence or the ID of the stop token that ended the choice, or None.
        """
        match finish_reason:
            case "length":
                return self.limits_tokens
            case "repetition":  # only with the request's `repetition_detection`
                return True
            case "stop":
                known = isinstance(stop_reason, int) and stop_reason in self.stop_token_ids
                return known or isinstance(stop_reason, str)
            case _:
                return False


def _limits_tokens(data: Mapping[str, Any]) -> bool:
    if data.get("ignore_eos"):
        return True
    if "messages" not in data and "max_tokens" not in data:
        return True  # a completion's limit is then 16 tokens, by OpenAI's API
    return data.get("max_tokens") is not None or data.get("max_completion_tokens") is not None


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
