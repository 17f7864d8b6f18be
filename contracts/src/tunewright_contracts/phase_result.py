"""The result of a trainer pod: the termination message of its container, at most 4 KiB."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field

from tunewright_contracts.adapter_manifest import MAX_SCORES, Score
from tunewright_contracts.document import ContractError, Document, Message, Sha256
from tunewright_contracts.progress import LostCheckpoint
from tunewright_contracts.values import Address, Count, Name, Rank, ShortText, Size, StopTokens, Text, Word

D = TypeVar("D", bound=Document)

MAX_TERMINATION_MESSAGE_BYTES = 4096
MAX_LISTED = 64
"""The most entries of a list in a result."""


class DatasetSummary(Message):
    """Counts of the prepared data: records of each split, invalid ones, duplicates, tokens over all records."""

    digest: Sha256
    uri: Address
    train: Count
    validation: Count
    evaluation: Count
    skipped: Count = 0
    duplicates: Count = 0
    tokens: Count | None = None
    max_tokens: Count | None = None
    first_problems: Annotated[tuple[ShortText, ...], Field(max_length=MAX_LISTED)] = ()
    """The first invalid records, each as ``<file>:<line>: <reason>``."""
    problems_uri: Address = ""
    """The list of all invalid records: a JSONL object in the folder of the run that prepared the data."""
    ignored_keys: dict[ShortText, Count] = Field(default_factory=dict, max_length=MAX_LISTED)
    """The most frequent keys that were not read, with the number of records that have them."""
    notes: Annotated[tuple[ShortText, ...], Field(max_length=MAX_LISTED)] = ()
    """Sentences on what was not read, and on splits whose share differs much from the wanted one."""
    stop_token_ids: StopTokens | None = None
    manifest_digest: Sha256 | None = None
    """The digest of the manifest's bytes, which pins everything else; not in the manifest itself."""
    evaluation_digest: Sha256 | None = None
    """The digest of the held-out records' bytes; not in the manifest, which has it among the files."""


class AdapterSummary(Message):
    """A published adapter; ``bytes`` is the size of its weights."""

    uri: Address
    digest: Sha256
    rank: Rank
    bytes: Size
    base_model_digest: Sha256
    evaluation_dataset_uri: Address = ""
    """The held-out split, which the adapter was not trained on: a JSONL object."""
    evaluation_dataset_digest: Sha256 | None = None
    """The digest of that object's bytes; None without a held-out split, or if an earlier release trained it."""
    stop_token_ids: StopTokens | None = None


class BaseModelSummary(Message):
    """The result of an inspection.

    ``digest`` covers config, tokenizer and weights. ``linear_modules`` has the last part of each linear layer's name,
    such as ``q_proj``; it is empty if they are too many to list.
    """

    digest: Sha256
    revision: Annotated[Name, Field(max_length=128)] = ""
    bytes: Size
    files: Count
    linear_modules: Annotated[tuple[Name, ...], Field(max_length=MAX_LISTED)] = ()


class Outcome(StrEnum):
    """How a phase ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """Permanently: the same input fails again, so a user must change something."""
    RETRYABLE = "Retryable"
    """The cause may be transient (S3 unavailable, out of memory, preempted): another attempt may succeed."""
    SUSPENDED = "Suspended"
    """Stopped by SIGTERM; another attempt continues."""


class PhaseResult(Document):
    """The termination message of `prepare`, `train` and `inspect`.

    ``reason`` is one of docs/reference/conditions.md; ``message`` states what was wrong, where, and what to do.
    """

    outcome: Outcome
    reason: Word
    message: Text
    dataset: DatasetSummary | None = None
    adapter: AdapterSummary | None = None
    base_model: BaseModelSummary | None = None
    scores: Annotated[tuple[Score, ...], Field(max_length=MAX_SCORES)] = ()
    progress_step: Count | None = None
    lost_checkpoint: LostCheckpoint | None = None

    def to_termination_message(self) -> str:
        """Return JSON of at most `MAX_TERMINATION_MESSAGE_BYTES`; text for users is shortened, other fields are not."""
        result = self
        text = result.to_json()
        if len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and result.dataset is not None:
            result = result.updated(dataset=result.dataset.updated(first_problems=()))
            text = result.to_json()
        while len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and len(result.message) > 1:
            result = result.updated(message=result.message[: len(result.message) * 3 // 4 - 1].rstrip() + "…")
            text = result.to_json()
        if len(text.encode()) > MAX_TERMINATION_MESSAGE_BYTES and result.dataset is not None:
            text = result.updated(dataset=result.dataset.updated(ignored_keys={}, notes=())).to_json()
        return text


def read_termination_message(kind: type[D], message: str) -> D | None:
    """Return the document in a container's termination message; None if it has none that can be read.

    A container without a document leaves the end of its log (FallbackToLogsOnError). The kubelet keeps 4 KiB; a longer
    message was not written by it.
    """
    if not message.lstrip().startswith("{") or len(message.encode(errors="replace")) > MAX_TERMINATION_MESSAGE_BYTES:
        return None
    try:
        return kind.from_json(message)
    except ContractError:
        return None
