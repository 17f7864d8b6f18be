"""Score the held-out split with the adapter off and on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.records import Record, choose_records
from tunewright_evaluator.scorers import build_scorer
from tunewright_trainer.chat.template import ChatMessage, Conversation
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.evaluate.generation import generate_greedily


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """One held-out record with what the model said without and with the adapter."""

    record: Record
    base: str
    tuned: str


def choose_held_out(conversations: Sequence[Conversation], maximum: int) -> list[Record]:
    """Choose the records to score, by the same rule as the evaluator: the choice depends on content only."""
    records = [
        Record(
            index,
            tuple({"role": message.role, "content": message.content} for message in conversation[:-1]),
            conversation[-1].content,
        )
        for index, conversation in enumerate(conversations, start=1)
    ]
    return choose_records(records, maximum)


def score_answers(metrics: Sequence[MetricSpec], answers: Sequence[Answers]) -> tuple[Score, ...]:
    """Return the mean of each metric over the records. Pure."""
    scores: list[Score] = []
    for metric in metrics:
        scorer = build_scorer(metric)
        base = [scorer.score(answer.base, answer.record.reference) for answer in answers]
        tuned = [scorer.score(answer.tuned, answer.record.reference) for answer in answers]
        scores.append(
            Score(
                type=metric.type,
                base=sum(base) / len(base),
                tuned=sum(tuned) / len(tuned),
                samples=len(answers),
            )
        )
    return tuple(scores)


def find_below_minimum(metrics: Sequence[MetricSpec], scores: Sequence[Score]) -> list[str]:
    """Return a sentence for each score that is under its minimum. Pure."""
    return [
        f"{score.type} is {score.tuned:.3f} on {score.samples} held-out records, under its minimum {metric.minimum} "
        f"(base model: {score.base:.3f})"
        for metric, score in zip(metrics, scores, strict=True)
        if metric.minimum is not None and score.tuned < float(metric.minimum)
    ]


def answer_all(
    model: Any,
    tokenizer: ConversationTokenizer,
    records: Sequence[Record],
    max_tokens: int,
    report: Callable[[int], None],
) -> list[Answers]:
    """Let a model with an adapter answer every record greedily, first without and then with the adapter.

    Args:
        model: a PEFT model in inference mode.
        tokenizer: renders and encodes.
        records: what to answer.
        max_tokens: the most new tokens of an answer.
        report: called with the number of answers so far, of twice the records.

    Raises:
        TrainerError: memory does not suffice for a single record.
    """
    prompts = [tokenizer.encode_prompt(_to_conversation(record)) for record in records]
    done = 0

    def count(new: int) -> None:
        nonlocal done
        done += new
        report(done)

    with model.disable_adapter():
        base = generate_greedily(model, tokenizer, prompts, max_tokens, count)
    tuned = generate_greedily(model, tokenizer, prompts, max_tokens, count)
    return [Answers(*row) for row in zip(records, base, tuned, strict=True)]


def _to_conversation(record: Record) -> Conversation:
    return tuple(ChatMessage(message["role"], message["content"]) for message in record.messages)
