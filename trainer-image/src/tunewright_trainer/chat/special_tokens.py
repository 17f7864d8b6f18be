"""The tokens of a base model that are not text: those that end an answer, and control tokens such as turn markers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens of a tokenizer and of its model.

    ``stop`` are the IDs that end an answer: `eos_token_id` of the model and the tokenizer's `eos_token`, as in vLLM.
    ``added`` are the IDs of the tokens that the tokenizer finds before it splits the text, so that no other text is
    part of such a token. ``control`` maps IDs to texts of those added tokens that are never text: decoding skips them,
    or they end an answer.
    """

    stop: frozenset[int] = frozenset()
    control: Mapping[int, str] = dataclasses.field(default_factory=dict)
    added: frozenset[int] = frozenset()

    def can_end_an_answer(self, token: int) -> bool:
        """Return whether generation can stop at a token without stopping at ordinary text."""
        return token in self.stop or token in self.added


def read_special_tokens(encoder: Any, configurations: Iterable[Mapping[str, Any]], eos_token: str) -> SpecialTokens:
    """Return the special tokens.

    Args:
        encoder: a ``tokenizers.Tokenizer``.
        configurations: the model's files that can have `eos_token_id`, the decisive one first.
        eos_token: the tokenizer's `eos_token`; empty: none.
    """
    stop = next((found for found in map(_read_stop_tokens, configurations) if found), frozenset())
    eos = encoder.token_to_id(eos_token) if eos_token else None
    stop = stop if eos is None else stop | {eos}
    added = encoder.get_added_tokens_decoder()
    control = {token: item.content for token, item in added.items() if item.special or token in stop}
    return SpecialTokens(
        stop=stop,
        control={token: text for token, text in control.items() if text},
        added=frozenset(added),
    )


def cut_at_stop(tokens: list[int], stop: Collection[int]) -> list[int]:
    """Return the tokens before the first one that ends an answer."""
    return next((tokens[:index] for index, token in enumerate(tokens) if token in stop), tokens)


def _read_stop_tokens(configuration: Mapping[str, Any]) -> frozenset[int]:
    value = configuration.get("eos_token_id")
    tokens = value if isinstance(value, list) else [value]
    return frozenset(token for token in tokens if isinstance(token, int) and not isinstance(token, bool))
