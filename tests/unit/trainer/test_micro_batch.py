"""The global batch stays as requested, with any amount of memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_trainer.micro_batch import MicroBatch, explain_out_of_memory, plan_micro_batch


@given(st.integers(1, 512), st.one_of(st.none(), st.integers(1, 600)))
def test_global_batch_is_kept(batch_size, limit):
    micro_batch = plan_micro_batch(batch_size, limit)
    assert micro_batch.size * micro_batch.accumulation == batch_size
    assert 1 <= micro_batch.size <= (limit or batch_size)


@pytest.mark.parametrize(("batch", "limit", "size"), [(8, None, 8), (8, 4, 4), (8, 3, 2), (7, 4, 1), (8, 99, 8)])
def test_micro_batch(batch, limit, size):
    assert plan_micro_batch(batch, limit).size == size


def test_out_of_memory_is_retried_until_one_record_is_too_much():
    assert explain_out_of_memory(MicroBatch(8, 1), 512).retryable
    last = explain_out_of_memory(MicroBatch(1, 8), 512)
    assert not last.retryable
    assert "1 record of up to 512 tokens" in str(last)
