"""A conversation as text, rendered by the base model's own chat template.

The rendering is that of transformers' ``apply_chat_template`` (trim_blocks, lstrip_blocks, loop controls, `tojson`
without HTML escapes, the ``generation`` tag), without transformers: `prepare` counts tokens and must start in a
second, and train, score and count must agree on every character.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.errors import Reason, TrainerError

_PROBE: Conversation = (ChatMessage("user", "question"), ChatMessage("assistant", "answer"))


class ChatTemplateError(ValueError):
    """The template refuses this conversation; the message is the template's own."""


class ChatTemplate:
    """A compiled chat template with the tokenizer's special tokens."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Compile a template.

        Raises:
            TrainerError: it is no Jinja template.
        """
        self.source = source
        self._special_tokens = dict(special_tokens)
        try:
            self._template = _ENVIRONMENT.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise TrainerError(
                Reason.INVALID_CHAT_TEMPLATE,
                f"the base model's chat template is not Jinja: {error.message} (line {error.lineno}); correct "
                "training.chatTemplate of the BaseModel",
            ) from error

    def render(self, conversation: Conversation, *, add_generation_prompt: bool = False) -> str:
        """Return the text of a conversation, and with ``add_generation_prompt`` the opening of the next answer.

        Hybrid templates (Qwen3) are told not to think: the empty think block, which they write before each answer
        either way, is then part of the opening and not of what is learnt and scored. Others ignore the variable.

        Raises:
            ChatTemplateError: the template refuses the conversation.
        """
        try:
            return self._template.render(
                messages=[dataclasses.asdict(message) for message in conversation],
                add_generation_prompt=add_generation_prompt,
                enable_thinking=False,
                tools=None,
                documents=None,
                **self._special_tokens,
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError) as error:
            raise ChatTemplateError(str(error) or type(error).__name__) from error

    def assistant_spans(self, conversation: Conversation) -> tuple[str, list[tuple[int, int]]]:
        """Return the rendered text and the (start, end) characters that the assistant is to say.

        A span begins after the opening that generation would be given and ends with the turn's closing token. Both
        are found by rendering the conversation up to the turn, so that any template works, with or without
        ``generation`` marks. A turn that the template writes differently once others follow (some drop an earlier
        turn's reasoning) is context, not a target: at generation the model never sees it so.

        Raises:
            ChatTemplateError: the template refuses the conversation, or not even the last turn can be located.
        """
        text = self.render(conversation)
        spans: list[tuple[int, int]] = []
        for index, message in enumerate(conversation):
            if message.role != "assistant":
                continue
            until_turn = self.render(conversation[: index + 1])
            if not text.startswith(until_turn):
                continue
            context = self.render(conversation[:index])
            opening = self.render(conversation[:index], add_generation_prompt=True)
            # Some openings go on where the turn itself does not ("<think>"): what both share is the question.
            start = _shared_length(opening, until_turn)
            end = len(until_turn.rstrip())
            if len(context.rstrip()) <= start < end:
                spans.append((start, end))
        if not spans:
            raise ChatTemplateError("the assistant's turns cannot be located in the rendered conversation")
        return text, spans

    def check_answers_directly(self) -> None:
        """Check that an answer can be had without thinking, as it is learnt and compared with its reference.

        A template that refuses so short a conversation passes: it says why beside each record.

        Raises:
            TrainerError: the template thinks whatever it is told, so that no answer could equal its reference.
        """
        try:
            text, spans = self.assistant_spans(_PROBE)
            opening = self.render(_PROBE[:1], add_generation_prompt=True)
        except ChatTemplateError:
            return
        start, end = spans[-1]
        if "</think>" in text[start:end] or opening.rstrip().endswith("<think>"):
            raise TrainerError(
                Reason.INVALID_CHAT_TEMPLATE,
                "the base model's chat template thinks before each answer even with enable_thinking false, so that "
                "every answer would carry a think block; choose a base model that answers directly, or set "
                "training.chatTemplate of the BaseModel to a template without <think>",
            )


def mask_tokens(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Return for each token, by its (start, end) characters, whether it lies in a span.

    A token that straddles the beginning of a span belongs to the prompt, since generation begins after it.
    """
    mask: list[bool] = []
    position = 0
    for start, end in offsets:
        while position < len(spans) and spans[position][1] <= start:
            position += 1
        inside = position < len(spans) and spans[position][0] <= start
        mask.append(inside and end > start)
    return mask


def _shared_length(left: str, right: str) -> int:
    """Return how many characters two texts have in common from their beginning."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(left), len(right)))


class _GenerationTag(Extension):
    """``{% generation %}…{% endgeneration %}`` renders what it holds."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Any) -> Any:
        """Replace the block by its body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _format_now(pattern: str) -> str:
    return dt.datetime.now().strftime(pattern)  # noqa: DTZ005 - templates mean the local date


def _build_environment() -> ImmutableSandboxedEnvironment:
    # No HTML is made: escaping would change what the model reads.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _format_now
    return environment


_ENVIRONMENT = _build_environment()
