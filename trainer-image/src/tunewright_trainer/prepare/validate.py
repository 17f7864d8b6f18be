"""The rules for valid records; users read a rule's message after the record's file and line."""

from __future__ import annotations

import unicodedata
from enum import Enum, auto

from tunewright_contracts.dataset_lines import InvalidRecordError
from tunewright_trainer.chat.conversation import ChatMessage, Conversation

_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters that have no ink, although Unicode counts them as letters, marks or symbols."""
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


class Fault(Enum):
    """What makes a record invalid: its content, the base model's chat template, or the job's system prompt."""

    RECORD = auto()
    TEMPLATE = auto()
    SYSTEM_PROMPT = auto()


class RecordError(InvalidRecordError):
    """A record cannot be trained on; ``fault`` is what makes it invalid."""

    def __init__(self, message: str, fault: Fault = Fault.RECORD) -> None:
        super().__init__(message)
        self.fault = fault


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
