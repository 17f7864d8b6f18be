"""The texts and the length of an answer's choices, for the check of the output contract."""

from __future__ import annotations

from typing import Any

from tunewright_server.http.client_options import ClientOptions
from tunewright_server.output_contract.checker import MAX_ANSWER_BYTES


class AnswerTexts:
    """Collect an answer's texts and count its tokens, from a complete answer or from the events of a stream."""

    def __init__(self, options: ClientOptions | None = None) -> None:
        self._options = options or ClientOptions()
        self._parts: dict[int, list[str]] = {}
        self._length = 0
        self._checkable = True
        self._cut: set[int] = set()
        self._total: int | None = None
        self._reported: dict[int, int] = {}
        self._events: dict[int, int] = {}

    @property
    def completion_tokens(self) -> int | None:
        """Return how many tokens were generated for all choices so far, or None if the server did not report it."""
        if self._total is not None:
            return self._total
        return sum(self._reported.values()) if self._reported else None

    def note(self, data: dict[str, Any]) -> None:
        """Record a complete answer or one event of a stream."""
        choices = data.get("choices") or ()
        self._note_usage(data.get("usage"), choices)
        for choice in choices:
            said = choice.get("delta") or choice.get("message")
            text = choice.get("text") if said is None else said.get("content")
            if said is not None and said.get("tool_calls"):
                self._checkable = False
            index = choice.get("index", 0)
            if self._options.cut(choice.get("finish_reason"), choice.get("stop_reason")):
                self._cut.add(index)
            parts = self._parts.setdefault(index, [])
            if isinstance(text, str) and text:
                self._events[index] = self._events.get(index, 0) + 1
            # One part beyond the limit is kept, which shows that the text is too long.
            if isinstance(text, str) and self._length <= MAX_ANSWER_BYTES:
                parts.append(text)
                self._length += len(text)

    def texts(self) -> list[str | None] | None:
        """Return the text of each choice, or None if there is nothing to check.

        The text is None for a choice that the client's options cut: its rest is unknown.
        """
        if not self._checkable or not self._parts:
            return None
        return [None if index in self._cut else "".join(self._parts[index]) for index in sorted(self._parts)]

    def exceeds(self, max_tokens: int) -> bool:
        """Return whether the choices of an unfinished stream already have more than ``max_tokens`` tokens on average.

        Each event with text has at least one token, so that the number of events is a lower bound.
        """
        if not self._checkable:
            return False
        seen = self._reported.keys() | self._events.keys()
        least = sum(max(self._reported.get(index, 0), self._events.get(index, 0)) for index in seen)
        return max(least, self._total or 0) > max_tokens * max(self._options.choices, len(seen))

    def _note_usage(self, usage: Any, choices: Any) -> None:
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        if not isinstance(tokens, int):
            return
        if len(choices) == 1:
            # In an event of a stream, vLLM reports the tokens of that choice so far.
            self._reported[choices[0].get("index", 0)] = tokens
        else:
            self._total = tokens
