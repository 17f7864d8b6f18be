"""The answers that an evaluation keeps in S3, so that a later one need not ask for them again.

A stored file is trusted only if its digest is the one that the AdapterDeployment's status recorded, its code is of the
deployment's key, and its conditions are those of the new evaluation. So anyone who can write to the bucket can at most
cause questions to be asked again.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright_contracts.content_file import PlainName
from tunewright_contracts.document import Document, Message, Sha256
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.values import MAX_ADDRESS_CHARACTERS, Count, StopTokens

ANSWER_FORMAT = 1
"""Increase it when requests for answers, or what is kept of them, change: then all answers are asked for again."""
MAX_STORED_BYTES = 64 << 20
"""The largest file that is written and read; an arm with more answers is asked again each time."""


class AnswerConditions(Message):
    """Everything that determines an arm's answer in addition to the question.

    ``engine`` identifies the replicas' image and all of their configuration that can change an answer.
    ``target_digest`` is the adapter's digest, or that of the base model.
    """

    answer_format: int = ANSWER_FORMAT
    engine: Sha256
    target: PlainName
    target_digest: Sha256
    stop_token_ids: StopTokens | None = None
    temperature: int = 0
    max_tokens: int

    def key(self) -> str:
        """Return ``sha256:<hex>`` of the conditions; answers with another key are never reused."""
        return f"sha256:{hashlib.sha256(self.to_json().encode()).hexdigest()}"


class StoredAnswer(Message):
    """An answer, and the digest of the conversation that it answers."""

    question: Sha256
    answer: str


class StoredAnswers(Document):
    """A stored file: complete answers of one arm to one choice of records."""

    max_bytes: ClassVar[int] = MAX_STORED_BYTES

    conditions: AnswerConditions
    answers: tuple[StoredAnswer, ...] = ()


class AnswerRecord(Message):
    """What identifies a stored file with a number of ``answers``; ``digest`` is that of its bytes.

    ``target`` gave the answers under the conditions of ``key``.
    """

    target: PlainName
    key: Sha256
    digest: Sha256
    answers: Count


class KnownAnswers(AnswerRecord):
    """A stored file that a status has recorded, and its address."""

    uri: Annotated[str, Field(max_length=MAX_ADDRESS_CHARACTERS)]


def answers_uri(folder: StorageURI, record: AnswerRecord) -> StorageURI:
    """Return the address of a stored file in the folder of an evaluation's report.

    It contains the file's digest: files never change, and deployments that share a folder do not disturb each other.
    """
    return folder.join("answers", f"{record.target}-{record.digest.removeprefix('sha256:')[:32]}.json")
