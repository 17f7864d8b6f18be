"""Token batches for the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewright_trainer.chat.conversation import Conversation
from tunewright_trainer.chat.template import ChatTemplateError
from tunewright_trainer.chat.tokenizer import IGNORED_LABEL, ConversationTokenizer, Example
from tunewright_trainer.errors import Reason, TrainerError

_PAD_MULTIPLE = 8
"""Tensor cores are fast with lengths that are multiples of 8."""


def encode_conversations(
    conversations: Sequence[Conversation], tokenizer: ConversationTokenizer, max_tokens: int
) -> list[Example]:
    """Tokenize prepared records.

    Raises:
        TrainerError: a record is too long, cannot be rendered or has no learned token, although `prepare` accepted it:
            the prepared data and the base model do not match. If no record has a learned token, its loss would be NaN
            in each step.
    """
    examples: list[Example] = []
    for number, conversation in enumerate(conversations, start=1):
        try:
            example = tokenizer.encode_example(conversation)
        except ChatTemplateError as error:
            raise _mismatch(number, str(error)) from error
        if len(example.input_ids) > max_tokens:
            raise _mismatch(number, f"it has {len(example.input_ids)} tokens, more than {max_tokens}")
        examples.append(example)
    unlearned = [number for number, example in enumerate(examples, start=1) if not has_labels(example)]
    if unlearned and len(unlearned) == len(examples):
        raise TrainerError(
            Reason.NOTHING_TO_LEARN,
            f"none of the {len(examples)} prepared records has a token that is learned: the chat template renders no "
            "answer that begins and ends at a token; correct training.chatTemplate of the BaseModel and create another "
            "job",
        )
    if unlearned:
        raise _mismatch(unlearned[0], "none of its tokens is learned")
    return examples


def has_labels(example: Example) -> bool:
    """Return whether a token of an example counts in the loss."""
    return any(label != IGNORED_LABEL for label in example.labels)


class PaddingCollator:
    """Pad a micro-batch to its longest example, and count the tokens without padding."""

    def __init__(self, pad_token: int) -> None:
        self._pad_token = pad_token
        self.tokens = 0

    def pad(self, features: Sequence[dict[str, list[int]]]) -> dict[str, list[list[int]]]:
        """Return rows of equal length (a multiple of 8), padded on the right and masked there."""
        longest = max(len(feature["input_ids"]) for feature in features)
        width = -(-longest // _PAD_MULTIPLE) * _PAD_MULTIPLE
        rows: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
        for feature in features:
            length = len(feature["input_ids"])
            missing = width - length
            rows["input_ids"].append([*feature["input_ids"], *[self._pad_token] * missing])
            rows["attention_mask"].append([1] * length + [0] * missing)
            rows["labels"].append([*feature["labels"], *[IGNORED_LABEL] * missing])
            self.tokens += length
        return rows

    def __call__(self, features: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        """Return the padded rows as tensors of shape (records, width)."""
        import torch  # noqa: PLC0415 - heavy

        return {name: torch.tensor(rows) for name, rows in self.pad(features).items()}


def _mismatch(number: int, what: str) -> TrainerError:
    return TrainerError(
        Reason.DATASET_CHANGED,
        f"prepared record {number} does not fit the base model: {what}; delete the prepared data and run the job again",
    )
