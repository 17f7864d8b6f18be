"""The rules for valid records; users read a rule's message after the record's file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tunewright_trainer.chat.conversation import Conversation
from tunewright_trainer.chat.template import ChatTemplateError


class RecordError(ValueError):
    """A record is invalid; the message is the reason, without file and line."""


def decode_line(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        RecordError: it is not UTF-8, not JSON, or not an object.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8: byte 0x{content[error.start]:02x} at position {error.start + 1}") from error
    try:
        value = json.loads(text)
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
        if not message.content.strip():
            raise RecordError(f"message {index + 1} ({message.role}) is empty")
        try:
            message.content.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(f"message {index + 1} ({message.role}) contains half of a surrogate pair") from error
    roles = [message.role for message in conversation if message.role != "system"]
    if "assistant" not in roles:
        raise RecordError("has no assistant message to learn from")
    if roles[0] != "user":
        raise RecordError("has an assistant message before the first user message")
    if roles[-1] != "assistant":
        raise RecordError("ends with a user message; the last message must be the assistant's")


def check_length(conversation: Conversation, count: Callable[[Conversation], int], limit: int, setting: str) -> int:
    """Return the number of tokens of a conversation.

    Args:
        conversation: with its system prompt.
        count: conversation → tokens.
        limit: the most tokens of a record.
        setting: where the limit is set, for the message.

    Raises:
        RecordError: it is over the limit, or the chat template rejects it.
    """
    try:
        tokens = count(conversation)
    except ChatTemplateError as error:
        raise RecordError(f"the chat template rejects it: {error}") from error
    if tokens > limit:
        raise RecordError(f"has {tokens} tokens, more than the limit of {limit} ({setting})")
    return tokens
