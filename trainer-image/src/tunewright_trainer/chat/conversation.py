"""A conversation, independent of the record's format and of the model's chat template."""

from __future__ import annotations

import dataclasses
import hashlib
import json


@dataclasses.dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn: ``role`` is system, user or assistant."""

    role: str
    content: str


Conversation = tuple[ChatMessage, ...]


def hash_conversation(conversation: Conversation) -> bytes:
    """Return the SHA-256 of roles and contents, encoded so that no two conversations give the same bytes."""
    turns = [[message.role, message.content] for message in conversation]
    return hashlib.sha256(json.dumps(turns, ensure_ascii=True, separators=(",", ":")).encode()).digest()
