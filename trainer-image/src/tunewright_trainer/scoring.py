"""Score the held-out split with the adapter off and on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.run_spec import MetricSpec
from tunewright_evaluator.records import Record, choose_records
from tunewright_evaluator.scorers import build_scorer
from tunewright_trainer.conversation import ChatMessage, Conversation
from tunewright_trainer.tokenizer import ConversationTokenizer

_BATCH_SIZE_CPU, _BATCH_SIZE_GPU = 8, 32


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
    """
    prompts = [tokenizer.encode_prompt(_to_conversation(record)) for record in records]
    done = 0

    def count(new: int) -> None:
        nonlocal done
        done += new
        report(done)

    with model.disable_adapter():
        base = _generate(model, tokenizer, prompts, max_tokens, count)
    tuned = _generate(model, tokenizer, prompts, max_tokens, count)
    return [Answers(*row) for row in zip(records, base, tuned, strict=True)]


def room_for_answer(max_tokens: int, prompt: int, context: int | None) -> int:
    """Return how many tokens an answer may have after so many of a prompt; a model refuses to go past its context."""
    return max_tokens if context is None else max(1, min(max_tokens, context - prompt))


def _generate(
    model: Any,
    tokenizer: ConversationTokenizer,
    prompts: Sequence[list[int]],
    max_tokens: int,
    count: Callable[[int], None],
) -> list[str]:
    """Return greedy answers in the prompts' order; prompts of like length share a batch, padded on the left."""
    import torch  # noqa: PLC0415 - heavy

    device = next(model.parameters()).device
    size = _BATCH_SIZE_CPU if device.type == "cpu" else _BATCH_SIZE_GPU
    pad = model.config.pad_token_id or 0
    context = getattr(model.config, "max_position_embeddings", None)
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]), reverse=True)
    with _greedy(model), torch.inference_mode():
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            width = max(len(prompts[index]) for index in chosen)
            rows = [[pad] * (width - len(prompts[index])) + prompts[index] for index in chosen]
            mask = [[0] * (width - len(prompts[index])) + [1] * len(prompts[index]) for index in chosen]
            output = model.generate(
                input_ids=torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=room_for_answer(max_tokens, width, context),
                do_sample=False,
                pad_token_id=pad,
            )
            for index, tokens in zip(chosen, output[:, width:].tolist(), strict=True):
                answers[index] = tokenizer.decode(tokens)
            count(len(chosen))
    return answers


@contextlib.contextmanager
def _greedy(model: Any) -> Iterator[None]:
    """Clear the sampling settings that a model ships with: with greedy decoding they only cause warnings."""
    settings = model.generation_config
    saved = {name: getattr(settings, name, None) for name in ("temperature", "top_p", "top_k")}
    for name in saved:
        setattr(settings, name, None)
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(settings, name, value)


def _to_conversation(record: Record) -> Conversation:
    return tuple(ChatMessage(message["role"], message["content"]) for message in record.messages)
