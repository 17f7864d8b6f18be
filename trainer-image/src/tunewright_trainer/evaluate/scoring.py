"""Let the model answer the held-out split with the adapter off and on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from tunewright_evaluator.records import Record, choose_records
from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.evaluate.generation import generate_greedily
from tunewright_trainer.evaluate.metrics import Answers


def choose_held_out(conversations: Sequence[Conversation], maximum: int) -> list[Record]:
    """Choose the records to score by the evaluator's rule: the choice depends only on the records' content."""
    records = [
        Record(
            index,
            tuple({"role": message.role, "content": message.content} for message in conversation[:-1]),
            conversation[-1].content,
        )
        for index, conversation in enumerate(conversations, start=1)
    ]
    return choose_records(records, maximum)


def answer_all(
    model: Any,
    tokenizer: ConversationTokenizer,
    records: Sequence[Record],
    max_tokens: int,
    report: Callable[[int], None],
    *,
    taught: Collection[int] = (),
) -> list[Answers]:
    """Let a model with an adapter answer every record greedily, first without and then with the adapter.

    Args:
        model: a PEFT model in inference mode.
        tokenizer: renders and encodes the records.
        records: the records to answer.
        max_tokens: the most new tokens of an answer.
        report: called with the number of answers so far; in the end this is twice the number of records.
        taught: the tokens with which the adapter learned to end an answer. The base model does not use them, as in a
            server.

    Raises:
        TrainerError: a single record does not fit into memory.
    """
    prompts = [tokenizer.encode_prompt(_to_conversation(record)) for record in records]
    done = 0

    def count(new: int) -> None:
        nonlocal done
        done += new
        report(done)

    with model.disable_adapter():
        base = generate_greedily(model, tokenizer, prompts, max_tokens, count)
    tuned = generate_greedily(model, tokenizer, prompts, max_tokens, count, taught=taught)
    return [Answers(*row) for row in zip(records, base, tuned, strict=True)]


def _to_conversation(record: Record) -> Conversation:
    return tuple(ChatMessage(message["role"], message["content"]) for message in record.messages)
