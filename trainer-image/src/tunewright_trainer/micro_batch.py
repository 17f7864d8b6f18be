"""Split a global batch into micro-batches, and explain what to do if one does not fit into memory."""

from __future__ import annotations

import dataclasses

from tunewright_trainer.errors import Reason, TrainerError


@dataclasses.dataclass(frozen=True, slots=True)
class MicroBatch:
    """``size`` records at a time, ``accumulation`` times before each optimizer step."""

    size: int
    accumulation: int


def plan_micro_batch(batch_size: int, limit: int | None) -> MicroBatch:
    """Return the largest micro-batch within a limit that divides the global batch.

    The global batch keeps the size that the user asked for. So an attempt with a smaller micro-batch continues the same
    training: the loss is a mean over all tokens of the global batch.

    Args:
        batch_size: records per optimizer step.
        limit: the most records of a micro-batch; None: the whole batch.
    """
    size = max(1, min(limit or batch_size, batch_size))
    while batch_size % size:
        size -= 1
    return MicroBatch(size, batch_size // size)


def explain_out_of_memory(micro_batch: MicroBatch, max_sequence_length: int) -> TrainerError:
    """Return the error for a micro-batch that does not fit into memory; it is final if this has one record."""
    tried = f"{micro_batch.size} record{'s' if micro_batch.size > 1 else ''} of up to {max_sequence_length} tokens"
    if micro_batch.size == 1:
        return TrainerError(
            Reason.OUT_OF_MEMORY,
            f"out of memory with a micro-batch of {tried}; lower training.maxSequenceLength or training.lora.rank, use "
            "quantization NF4, or use an accelerator with more memory",
        )
    return TrainerError(
        Reason.OUT_OF_MEMORY,
        f"out of memory with a micro-batch of {tried}; with retry.outOfMemory ReduceMicroBatch the next attempt halves "
        "the micro-batch and keeps the global batch size",
        retryable=True,
    )
