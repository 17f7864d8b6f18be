"""What is computed before the first step: micro-batches, steps, lengths, and what identifies a configuration."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_contracts.phase_result import DatasetSummary
from tunewright_trainer.chat.tokenizer import Example
from tunewright_trainer.config import resolve_config
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.micro_batch import MicroBatch, explain_out_of_memory, is_out_of_memory, plan_micro_batch
from tunewright_trainer.train.data import PaddingCollator, encode_conversations
from tunewright_trainer.train.pace import Pace

DIGEST = "sha256:" + "d" * 64


def dataset(train=100, max_tokens=61):
    return DatasetSummary(digest=DIGEST, uri="s3://b/d", train=train, validation=0, evaluation=0, max_tokens=max_tokens)


@given(st.integers(1, 512), st.one_of(st.none(), st.integers(1, 600)))
def test_global_batch_is_kept(batch_size, limit):
    micro_batch = plan_micro_batch(batch_size, limit)
    assert micro_batch.size * micro_batch.accumulation == batch_size
    assert 1 <= micro_batch.size <= (limit or batch_size)


@pytest.mark.parametrize(("batch", "limit", "size"), [(8, None, 8), (8, 4, 4), (8, 3, 2), (7, 4, 1), (8, 99, 8)])
def test_micro_batch(batch, limit, size):
    assert plan_micro_batch(batch, limit).size == size


class OutOfMemoryError(RuntimeError):
    """As torch.OutOfMemoryError."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfMemoryError("CUDA"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_out_of_memory_is_tried_again_until_one_record_was_too_much():
    assert explain_out_of_memory(MicroBatch(8, 1), 512).retryable
    last = explain_out_of_memory(MicroBatch(1, 8), 512)
    assert not last.retryable
    assert "1 record of up to 512 tokens" in str(last)


def test_steps_from_epochs_and_from_max_steps(make_spec):
    by_epochs = resolve_config(make_spec(training={"epochs": 3, "batchSize": 8}), dataset(train=100))
    assert (by_epochs.total_steps, by_epochs.epochs, by_epochs.warmup_steps) == (39, 3.0, 2)
    by_steps = resolve_config(make_spec(training={"maxSteps": 26, "batchSize": 8}), dataset(train=100))
    assert (by_steps.total_steps, by_steps.epochs) == (26, 2.0)


@pytest.mark.parametrize(
    ("wanted", "longest", "context", "length"),
    [(0, 61, 4096, 64), (0, 64, 4096, 64), (0, None, 2048, 2048), (256, 61, 4096, 256), (0, 4090, 4092, 4092)],
)
def test_sequence_length(make_spec, wanted, longest, context, length):
    spec = make_spec(training={"maxSequenceLength": wanted})
    spec = spec.model_copy(update={"base_model": spec.base_model.model_copy(update={"context_length": context})})
    assert resolve_config(spec, dataset(max_tokens=longest)).max_sequence_length == length


def test_fingerprint_ignores_how_the_batch_is_cut(make_spec):
    def fingerprint(**training):
        return resolve_config(make_spec(training=training), dataset()).fingerprint

    assert fingerprint() == fingerprint(microBatchSize=2, checkpointSteps=7)
    assert fingerprint() != fingerprint(batchSize=4)
    assert fingerprint() != fingerprint(seed=1)
    assert fingerprint() != resolve_config(make_spec(), dataset(train=99_999)).fingerprint


def test_padding():
    collator = PaddingCollator(pad_token=9)
    rows = collator.pad([{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}, {"input_ids": [4], "labels": [4]}])
    assert rows == {
        "input_ids": [[1, 2, 3, 9, 9, 9, 9, 9], [4, 9, 9, 9, 9, 9, 9, 9]],
        "attention_mask": [[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
        "labels": [[-100, 2, 3, -100, -100, -100, -100, -100], [4, -100, -100, -100, -100, -100, -100, -100]],
    }
    assert collator.tokens == 4


def test_encoding_prepared_records(tokenizer, talk):
    examples = encode_conversations([talk(("user", "q"), ("assistant", "a"))], tokenizer, 100)
    assert isinstance(examples[0], Example)
    with pytest.raises(TrainerError, match="prepared record 1 does not fit the base model: it has") as error:
        encode_conversations([talk(("user", "q"), ("assistant", "a"))], tokenizer, 10)
    assert error.value.reason is Reason.DATASET_CHANGED


def test_pace():
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    pace = Pace(total_steps=10)
    assert pace.estimate(now) == {}
    pace.record(0, 0, 100.0)
    assert pace.estimate(now) == {}
    pace.record(1, 1000, 102.0)
    pace.record(2, 2000, 104.0)
    assert pace.estimate(now) == {"tokens_per_second": 500.0, "estimated_finish": "2026-01-01T00:00:16Z"}
    pace.skip(50.0)  # validation
    pace.record(3, 3000, 156.0)
    assert pace.estimate(now)["tokens_per_second"] == 500.0


def test_pace_looks_at_the_last_steps_only():
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    pace = Pace(total_steps=1000)
    pace.record(0, 0, 0.0)
    for step in range(1, 41):
        pace.record(step, step * 100, 1000.0 + step)
    assert pace.estimate(now)["tokens_per_second"] == 100.0
