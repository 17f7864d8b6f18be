"""Render a conversation as text by the base model's chat template.

The text equals that of transformers' ``apply_chat_template`` (trim_blocks, lstrip_blocks, loop controls, `tojson`
without HTML escapes, the ``generation`` tag). transformers is not used: `prepare` counts tokens and must start within a
second, and training, scoring and counting must agree on every character.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.errors import Reason, TrainerError

_PROBE: Conversation = (ChatMessage("user", "question"), ChatMessage("assistant", "answer"))
_TEMPLATE_FILE = "<template>"
"""Jinja's name for the file of a template that has none, in tracebacks."""
_ERROR_CHARACTERS = 300


class ChatTemplateError(ValueError):
    """The template rejects this conversation; the message is the template's."""


class AnswersNotFoundError(ChatTemplateError):
    """No answer that is learned can be located in the rendered text."""


class ChatTemplateFailedError(ChatTemplateError):
    """An error occurs in the template, for example a division by zero; the message names it and the line."""


@dataclasses.dataclass(frozen=True, slots=True)
class LearnedTurn:
    """An assistant's message that is learned: ``message`` is its index, ``start`` and ``end`` are its characters.

    It begins after ``opening``, the text that generation continues, and ends with the turn's closing token. If the turn
    begins in another way than ``opening`` ends, ``start`` is where they begin to differ.
    """

    message: int
    opening: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class RenderedConversation:
    """The text of a conversation, and the turns in it that are learned, in their order."""

    text: str
    turns: tuple[LearnedTurn, ...]

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The (start, end) characters of the learned turns."""
        return [(turn.start, turn.end) for turn in self.turns]


class ChatTemplate:
    """A compiled chat template with the tokenizer's special tokens."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        """Compile a template.

        Raises:
            TrainerError: it is not a valid Jinja template.
        """
        self.source = source
        self._special_tokens = dict(special_tokens)
        try:
            self._template = _ENVIRONMENT.from_string(source)
        except Exception as error:
            # Jinja compiles to Python: a template can also be nested too deeply for Python's parser.
            line = getattr(error, "lineno", None) if isinstance(error, jinja2.TemplateError) else None
            where = f" (line {line})" if line else ""
            raise TrainerError(
                Reason.INVALID_CHAT_TEMPLATE,
                f"the base model's chat template is not valid Jinja: {_describe(error)}{where}; correct "
                "training.chatTemplate of the BaseModel",
            ) from error

    def render(self, conversation: Conversation, *, add_generation_prompt: bool = False) -> str:
        """Return the text of a conversation; ``add_generation_prompt`` adds the opening of the next answer.

        Thinking is switched off for hybrid templates (Qwen3). They write an empty think block before each answer in
        any case, which is then part of the opening, and not of the text that is learned and scored. Other templates
        ignore the variable.

        Raises:
            ChatTemplateError: the template rejects the conversation, or an error occurs in it.
        """
        try:
            return self._template.render(
                messages=[{"role": message.role, "content": message.content} for message in conversation],
                add_generation_prompt=add_generation_prompt,
                enable_thinking=False,
                tools=None,
                documents=None,
                **self._special_tokens,
            )
        except _RejectedError as error:
            raise ChatTemplateError(str(error) or "without a reason") from error
        except Exception as error:
            # The template can run any expression, so that any error can occur: a division by zero, an overflow, …
            raise ChatTemplateFailedError(f"{_describe(error)}{_find_line(error)}") from error

    def locate_answers(self, conversation: Conversation) -> RenderedConversation:
        """Return the rendered text with the assistant's turns that are learned.

        The turns are found by rendering the conversation up to each of them, so that any template works, with or
        without ``generation`` marks. Some templates write a turn differently when others follow (they drop an earlier
        turn's reasoning). Such a turn is context, not a target: in generation the model never sees it in this form.

        Raises:
            ChatTemplateError: the template rejects the conversation.
            AnswersNotFoundError: no assistant turn can be located.
        """
        text = self.render(conversation)
        turns: list[LearnedTurn] = []
        for index, message in enumerate(conversation):
            if message.role != "assistant" or not message.learned:
                continue
            until_turn = text if index == len(conversation) - 1 else self.render(conversation[: index + 1])
            if not text.startswith(until_turn):
                continue
            opening = self.render(conversation[:index], add_generation_prompt=True)
            # Some openings have an end that the turn itself lacks ("<think>"): only their common part is the prompt.
            start = _shared_length(opening, until_turn)
            end = len(until_turn.rstrip())
            # A complete opening contains the context. With a shorter common part, the context may have been rewritten.
            if start < len(opening) and start < len(self.render(conversation[:index]).rstrip()):
                continue
            if start < end:
                turns.append(LearnedTurn(index, opening, start, end))
        if not turns:
            raise AnswersNotFoundError("the assistant's turns cannot be located in the rendered conversation")
        return RenderedConversation(text, tuple(turns))

    def check_answers_directly(self) -> None:
        """Check that the template can render answers without a think block, because references have none.

        A template that rejects the short conversation of this check passes: the reason is reported with each record.

        Raises:
            TrainerError: the template always adds a think block, so that no answer could equal its reference.
        """
        try:
            rendered = self.locate_answers(_PROBE)
        except ChatTemplateError:
            return
        turn = rendered.turns[-1]
        if "</think>" in rendered.text[turn.start : turn.end] or turn.opening.rstrip().endswith("<think>"):
            raise TrainerError(
                Reason.INVALID_CHAT_TEMPLATE,
                "the base model's chat template adds a think block to each answer, even with enable_thinking false; "
                "choose a base model that answers directly, or set training.chatTemplate of the BaseModel to a "
                "template without <think>",
            )


def mask_tokens(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Return for each token, by its (start, end) characters, whether it lies in a span.

    A token that extends across the start of a span belongs to the prompt, because generation begins after it.
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
    """Return the length of the common prefix of two texts."""
    if right.startswith(left):
        return len(left)
    pairs = enumerate(zip(left, right, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(left), len(right)))


def _describe(error: Exception) -> str:
    """Return what an error in a template is: Jinja's own errors have sufficient messages, others need their type."""
    if isinstance(error, jinja2.TemplateError) and error.message:
        return error.message[:_ERROR_CHARACTERS]
    message = str(error)[:_ERROR_CHARACTERS]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _find_line(error: Exception) -> str:
    """Return the line of the template in which an error occurred, for a message; empty if it is unknown."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == _TEMPLATE_FILE]
    return f" (line {lines[-1]} of the template)" if lines else ""


class _GenerationTag(Extension):
    """The tag ``{% generation %}…{% endgeneration %}``, which renders its body."""

    tags = {"generation"}  # noqa: RUF012 - as in the base class

    def parse(self, parser: Any) -> Any:
        """Replace the block by its body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _RejectedError(jinja2.TemplateError):
    """The template rejects a conversation by ``raise_exception``."""


def _raise_exception(message: str) -> None:
    raise _RejectedError(message)


def _to_json(value: Any, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _format_now(pattern: str) -> str:
    return dt.datetime.now().strftime(pattern)  # noqa: DTZ005 - templates expect the local date


def _build_environment() -> ImmutableSandboxedEnvironment:
    # The text is not HTML: escaping would change the model's input.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _format_now
    return environment


_ENVIRONMENT = _build_environment()
