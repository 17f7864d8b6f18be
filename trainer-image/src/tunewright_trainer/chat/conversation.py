"""A conversation, independent of the record's format and of the model's chat template."""

from __future__ import annotations

import dataclasses
import hashlib
import json


@dataclasses.dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn: ``role`` is system, user or assistant; an answer that is not ``learned`` is only context."""

    role: str
    content: str
    learned: bool = True


Conversation = tuple[ChatMessage, ...]


def hash_conversation(conversation: Conversation) -> bytes:
    """Return the SHA-256 of roles, contents and weights of 0; no two conversations are encoded as the same bytes."""
    turns = [
        [message.role, message.content] if message.learned else [message.role, message.content, 0]
        for message in conversation
    ]
    return hashlib.sha256(json.dumps(turns, ensure_ascii=True, separators=(",", ":")).encode()).digest()
