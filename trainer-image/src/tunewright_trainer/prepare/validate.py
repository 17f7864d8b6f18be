"""The rules for valid records; users read a rule's message after the record's file and line."""

from __future__ import annotations

import json
import unicodedata
from enum import Enum, auto
from typing import Any, NoReturn

from tunewright_trainer.chat.conversation import ChatMessage, Conversation

_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters that have no ink, although Unicode counts them as letters, marks or symbols."""
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


class Fault(Enum):
    """What makes a record invalid: its content, the base model's chat template, or the job's system prompt."""

    RECORD = auto()
    TEMPLATE = auto()
    SYSTEM_PROMPT = auto()


class RecordError(ValueError):
    """A record is invalid; the message is the reason, without file and line."""

    def __init__(self, message: str, fault: Fault = Fault.RECORD) -> None:
        super().__init__(message)
        self.fault = fault


def decode_line(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        RecordError: it is not UTF-8, not JSON, or not an object; or an object has a key twice, so that one of the two
            values would be lost.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8: byte 0x{content[error.start]:02x} at position {error.start + 1}") from error
    try:
        value = json.loads(text, object_pairs_hook=_build_object, parse_constant=_refuse_constant)
    except RecordError:
        raise
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise RecordError("not usable JSON: nested too deeply") from error
    except ValueError as error:
        # Python refuses to convert numbers of thousands of digits.
        raise RecordError(f"not usable JSON: {str(error).partition(';')[0]}") from error
    if not isinstance(value, dict):
        raise RecordError("not a JSON object")
    return value


def check_conversation(conversation: Conversation) -> None:
    """Check roles and contents.

    Raises:
        RecordError: the conversation cannot be used for training.
    """
    if not conversation:
        raise RecordError("has no messages")
    for index, message in enumerate(conversation):
        if message.role == "system" and index > 0:
            raise RecordError(f"message {index + 1} is a system message; only the first message can be one")
        _check_content(message, f"message {index + 1} ({message.role})")
    roles = [message.role for message in conversation if message.role != "system"]
    if "assistant" not in roles:
        raise RecordError("has no assistant message to learn from")
    if not any(message.role == "assistant" and message.learned for message in conversation):
        raise RecordError("has no assistant message to learn from: each has weight 0")
    if roles[0] != "user":
        raise RecordError("has an assistant message before the first user message")
    if roles[-1] != "assistant":
        raise RecordError("ends with a user message; the last message must be the assistant's")


def _check_content(message: ChatMessage, where: str) -> None:
    if not message.content.strip():
        raise RecordError(f"{where} is empty")
    try:
        message.content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RecordError(f"{where} contains half of a surrogate pair") from error
    if not any(map(_is_visible, message.content)):
        codes = ", ".join(dict.fromkeys(f"U+{ord(character):04X}" for character in message.content[:3]))
        raise RecordError(f"{where} has only invisible characters ({codes}); write text, or remove the record")


def _is_visible(character: str) -> bool:
    """Return whether a character has ink: not a space, a control or format character, a filler or a selector."""
    if unicodedata.category(character) in {"Zs", "Zl", "Zp", "Cc", "Cf", "Cn"} or character in _BLANK_LETTERS:
        return False
    return not any(ord(character) in block for block in _VARIATION_SELECTORS)


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RecordError(f'not usable JSON: an object has the key "{twice}" twice; keep one of them')
    return built


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"not JSON: {name} is not a JSON value; write null or a number")


def check_length(tokens: int, limit: int, setting: str) -> None:
    """Check the number of tokens of a conversation.

    Args:
        tokens: of the whole conversation, with its system prompt.
        limit: the most tokens of a record.
        setting: where the limit is set, for the message.

    Raises:
        RecordError: it is over the limit.
    """
    if tokens > limit:
        raise RecordError(f"has {tokens} tokens, more than the limit of {limit} ({setting})")
