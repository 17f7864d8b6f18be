"""What a dataset is made of: input files, the records in them, and the three splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import StrEnum

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.chat.conversation import Conversation


@dataclasses.dataclass(frozen=True, slots=True)
class InputFile:
    """One file of records.

    ``label`` names it in messages (``<source>/<path>``); ``version`` changes when its content does; ``read`` fetches
    its bytes and may raise `StorageError`.
    """

    label: str
    format: DatasetFormat
    version: str
    read: Callable[[], bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A valid conversation as it will be trained on, with its number of tokens."""

    conversation: Conversation
    tokens: int


class Split(StrEnum):
    """The three parts; the value is the file's stem."""

    TRAIN = "train"
    VALIDATION = "validation"
    EVALUATION = "evaluation"
