"""Generate greedy answers in batches that fit into the model's context and into memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import structlog

from tunewright_trainer.accelerator import free_memory, is_out_of_memory
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.errors import Reason, TrainerError

_BATCH_SIZE_CPU, _BATCH_SIZE_GPU = 8, 32
log = structlog.get_logger(__name__)


def room_for_answer(max_tokens: int, prompt: int, context: int | None) -> int:
    """Return the maximum length of an answer to a prompt of a given length: both must fit into the model's context."""
    return max_tokens if context is None else max(1, min(max_tokens, context - prompt))


def count_batch(lengths: Sequence[int], size: int, max_tokens: int, context: int | None) -> int:
    """Return how many of the next prompts share a batch.

    All prompts of a batch are padded to the longest one and get the same room for an answer. So a prompt without room
    for a full answer shares a batch only with prompts of the same length: it would truncate the answers of others.

    Args:
        lengths: the lengths of the remaining prompts, the longest first.
        size: the most prompts of a batch.
        max_tokens: the most new tokens of an answer.
        context: the most tokens of prompt and answer together, if the model has a limit.
    """
    longest, most = lengths[0], min(size, len(lengths))
    if room_for_answer(max_tokens, longest, context) == max_tokens:
        return most
    return sum(length == longest for length in lengths[:most])


def generate_greedily(
    model: Any,
    tokenizer: ConversationTokenizer,
    prompts: Sequence[list[int]],
    max_tokens: int,
    count: Callable[[int], None],
    *,
    taught: Collection[int] = (),
) -> list[str]:
    """Return greedy answers in the prompts' order; prompts of similar length share a batch, padded on the left.

    A batch that does not fit into memory is retried at half its size: a failure here would waste the whole training.

    Args:
        model: in inference mode.
        tokenizer: decodes the answers.
        prompts: the token IDs of each prompt.
        max_tokens: the most new tokens of an answer.
        count: called with the number of new answers after each batch.
        taught: tokens that end an answer, in addition to the base model's.

    Raises:
        TrainerError: a single prompt does not fit into memory.
    """
    size = _BATCH_SIZE_CPU if next(model.parameters()).device.type == "cpu" else _BATCH_SIZE_GPU
    context = getattr(model.config, "max_position_embeddings", None)
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]), reverse=True)
    lengths = [len(prompts[index]) for index in order]
    start = 0
    stop = sorted({*tokenizer.special_tokens.stop, *taught})
    with _greedy(model):
        while start < len(order):
            chosen = order[start : start + count_batch(lengths[start:], size, max_tokens, context)]
            room = room_for_answer(max_tokens, lengths[start], context)
            rows = _generate_batch(model, [prompts[index] for index in chosen], room, stop)
            if rows is None:
                size = len(chosen) // 2
                log.warning("answering_out_of_memory", size=size)
                free_memory()
                continue
            for index, tokens in zip(chosen, rows, strict=True):
                answers[index] = tokenizer.decode(tokens, stop)
            start += len(chosen)
            count(len(chosen))
    return answers


def _generate_batch(model: Any, prompts: Sequence[list[int]], room: int, stop: list[int]) -> list[list[int]] | None:
    """Return the new tokens after each prompt, or None if the batch does not fit into memory.

    It raises no exception then, because a traceback would keep references to the tensors that filled the memory.
    """
    import torch  # noqa: PLC0415 - heavy

    device = next(model.parameters()).device
    pad = model.config.pad_token_id or 0
    width = max(map(len, prompts))
    try:
        with torch.inference_mode():
            output = model.generate(
                input_ids=torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=device),
                attention_mask=torch.tensor(
                    [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device
                ),
                max_new_tokens=room,
                do_sample=False,
                pad_token_id=pad,
                # Without any, the model's own settings apply.
                **({"eos_token_id": stop} if stop else {}),
            )
        answers: list[list[int]] = output[:, width:].tolist()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if len(prompts) == 1:
            raise TrainerError(
                Reason.OUT_OF_MEMORY,
                f"out of memory while answering one held-out record of {width} tokens with up to {room} new tokens; "
                "lower evaluation.maxTokens, remove the longest records, use quantization NF4, or use an accelerator "
                "with more memory",
            ) from error
        return None
    return answers


@contextlib.contextmanager
def _greedy(model: Any) -> Iterator[None]:
    """Clear the sampling settings of the model's files: with greedy decoding they only cause warnings."""
    settings = model.generation_config
    saved = {name: getattr(settings, name, None) for name in ("temperature", "top_p", "top_k")}
    for name in saved:
        setattr(settings, name, None)
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(settings, name, value)
