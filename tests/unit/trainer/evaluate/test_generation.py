"""Batches fit into context and memory, and an answer does not depend on the other records of its batch."""

import contextlib
import sys
import types

import numpy as np
import pytest

from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.evaluate import generation
from tunewright_trainer.evaluate.generation import count_batch, generate_greedily, room_for_answer


class OutOfMemoryError(RuntimeError):
    """Like torch.OutOfMemoryError."""


class EchoModel:
    """Repeats each prompt's last token up to the limit;
    raises ``error`` for batches of more than ``memory`` records.
    """

    def __init__(self, memory=99, context=None, error=OutOfMemoryError):
        self.config = types.SimpleNamespace(pad_token_id=0, max_position_embeddings=context)
        self.generation_config = types.SimpleNamespace(temperature=0.7, top_p=0.9, top_k=50)
        self.tried, self.stops = [], []
        self._memory, self._error = memory, error

    def parameters(self):
        return iter([types.SimpleNamespace(device=types.SimpleNamespace(type="cuda"))])

    def generate(self, *, input_ids, attention_mask, max_new_tokens, do_sample, pad_token_id, eos_token_id):
        assert not do_sample
        assert self.generation_config.temperature is None
        assert ((input_ids != pad_token_id) == attention_mask.astype(bool)).all()
        self.stops.append(eos_token_id)
        self.tried.append(len(input_ids))
        if len(input_ids) > self._memory:
            raise self._error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return np.concatenate([input_ids, np.repeat(input_ids[:, -1:], max_new_tokens, axis=1)], axis=1)


class RamblingModel(EchoModel):
    """Answers "yes", ends its turn with the character |, and continues with "no" unless generation stops there."""

    def generate(self, *, input_ids, max_new_tokens, eos_token_id, **options):
        self.stops.append(eos_token_id)
        rest = "\0\0" if ord("|") in eos_token_id else "no"
        answer = np.array([[ord(letter) for letter in f"yes|{rest}"]] * len(input_ids))
        return np.concatenate([input_ids, answer], axis=1)


@pytest.fixture
def freed(monkeypatch):
    """Replace torch; record the exception that was being handled each time that memory was freed."""
    freed = []
    torch = types.ModuleType("torch")
    torch.tensor = lambda rows, device: np.array(rows)
    torch.inference_mode = contextlib.nullcontext
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(generation, "free_memory", lambda: freed.append(sys.exc_info()[1]))
    return freed


def prompts(*texts):
    return [[ord(letter) for letter in text] for text in texts]


def test_answers_come_in_the_order_of_the_prompts(freed, tokenizer):
    model, counted = EchoModel(), []
    assert generate_greedily(model, tokenizer, prompts("a", "xyz", "bb"), 2, counted.append) == ["aa", "zz", "bb"]
    assert (model.tried, counted) == ([3], [3])
    assert model.generation_config.temperature == 0.7
    assert freed == []


@pytest.mark.parametrize(("taught", "answer"), [((), "yes|no"), ((ord("|"),), "yes"), ([ord("|"), 7], "yes")])
def test_generation_stops_at_the_tokens_that_training_taught(freed, tokenizer, taught, answer):
    model = RamblingModel()
    assert generate_greedily(model, tokenizer, prompts("q", "r"), 6, lambda _: None, taught=taught) == [answer, answer]
    assert model.stops == [sorted({*tokenizer.special_tokens.stop, *taught})]


def test_a_batch_too_large_for_memory_is_halved_and_repeated(freed, tokenizer):
    model, counted = EchoModel(memory=2), []
    answers = generate_greedily(model, tokenizer, prompts("a", "b", "c", "d", "e"), 2, counted.append)
    assert answers == ["aa", "bb", "cc", "dd", "ee"]
    assert model.tried == [5, 2, 2, 1]
    assert counted == [2, 2, 1]
    assert freed == [None], "memory is freed when no traceback refers to it any more"


def test_one_record_too_large_for_memory_is_an_error(freed, tokenizer):
    model = EchoModel(memory=0)
    with pytest.raises(TrainerError, match="one held-out record of 3 tokens with up to 7 new tokens; lower") as error:
        generate_greedily(model, tokenizer, prompts("abc", "d", "e", "f"), 7, lambda _: None)
    assert model.tried == [4, 2, 1]
    assert (error.value.reason, error.value.retryable) == (Reason.OUT_OF_MEMORY, False)


def test_another_error_is_not_taken_for_memory(freed, tokenizer):
    with pytest.raises(ValueError, match="Tried"):
        generate_greedily(EchoModel(memory=0, error=ValueError), tokenizer, prompts("a", "b"), 7, lambda _: None)
    assert freed == []


def test_a_prompt_near_the_context_limit_does_not_shorten_other_answers(freed, tokenizer):
    model = EchoModel(context=100)
    near, short = "n" * 95, "s" * 40
    answers = generate_greedily(model, tokenizer, prompts(short, near, short, near), 10, lambda _: None)
    assert answers == ["s" * 10, "n" * 5, "s" * 10, "n" * 5]
    assert model.tried == [2, 2]


@pytest.mark.parametrize(
    ("lengths", "context", "together"),
    [
        ([90, 90, 5, 4], 100, 3),  # room for all, up to the limit
        ([90, 5], None, 2),
        ([91, 90, 90], 100, 1),
        ([91, 91, 90], 100, 2),
        ([91, 91, 91, 91], 100, 3),
        ([300, 200], 100, 1),
    ],
)
def test_which_records_share_a_batch(lengths, context, together):
    assert count_batch(lengths, 3, 10, context) == together


@pytest.mark.parametrize(
    ("prompt", "context", "room"), [(100, 2048, 256), (1950, 2048, 98), (2048, 2048, 1), (100, None, 256)]
)
def test_an_answer_ends_at_the_context_limit(prompt, context, room):
    assert room_for_answer(256, prompt, context) == room
