"""The parts of a dataset: input files, their records, and the three splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import StrEnum

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.chat.conversation import Conversation


@dataclasses.dataclass(frozen=True, slots=True)
class InputFile:
    """One file of records.

    ``label`` is its name in messages (``<source>/<path>``). ``version`` changes with its content. ``read`` fetches its
    bytes and may raise `StorageError`.
    """

    label: str
    format: DatasetFormat
    version: str
    read: Callable[[], bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A valid conversation in the form that training reads, with its number of tokens."""

    conversation: Conversation
    tokens: int


class Split(StrEnum):
    """The three parts of a dataset; the value is the file's name without its suffix."""

    TRAIN = "train"
    VALIDATION = "validation"
    EVALUATION = "evaluation"
