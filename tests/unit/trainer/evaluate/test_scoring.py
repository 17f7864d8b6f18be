"""Which records are scored, and the prompts for them."""

import contextlib

import pytest

from tunewright_trainer.evaluate import scoring
from tunewright_trainer.evaluate.scoring import choose_held_out


def test_the_reference_is_the_last_turn_and_never_shown(talk):
    (record,) = choose_held_out([talk(("system", "s"), ("user", "q"), ("assistant", "a"))], 1)
    assert record.reference == "a"
    assert [message["role"] for message in record.messages] == ["system", "user"]


def test_choice_depends_on_content_only(talk):
    conversations = [talk(("user", f"q{n}"), ("assistant", "a")) for n in range(50)]
    asked = [
        {record.messages[0]["content"] for record in choose_held_out(some, 10)}
        for some in (conversations, conversations[::-1])
    ]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 10


class SwitchedModel:
    """A PEFT model that knows whether its adapter is on."""

    def __init__(self):
        self.adapter = True

    @contextlib.contextmanager
    def disable_adapter(self):
        self.adapter = False
        yield
        self.adapter = True


@pytest.fixture
def asked(monkeypatch):
    """Record the prompts; each answer contains the adapter's state and the prompt."""
    asked = []

    def generate(model, tokenizer, prompts, max_tokens, count, *, taught=()):
        texts = [tokenizer._encoder.decode(prompt, skip_special_tokens=False) for prompt in prompts]
        asked.append((model.adapter, texts, max_tokens, taught))
        for _ in prompts:
            count(1)
        return [f"{model.adapter} {number}" for number in range(len(prompts))]

    monkeypatch.setattr(scoring, "generate_greedily", generate)
    return asked


def test_every_record_is_answered_without_and_then_with_the_adapter(asked, tokenizer, talk):
    records = choose_held_out([talk(("user", f"q{n}"), ("assistant", f"a{n}")) for n in range(2)], 10)
    reported = []
    answers = scoring.answer_all(SwitchedModel(), tokenizer, records, 64, reported.append, taught=(7,))
    prompts = [f"<|im_start|>user\nq{n}<|im_end|>\n<|im_start|>assistant\n" for n in range(2)]
    assert asked == [(False, prompts, 64, ()), (True, prompts, 64, (7,))], "the base model has only its own stop tokens"
    assert [(answer.record, answer.base, answer.tuned) for answer in answers] == [
        (records[0], "False 0", "True 0"),
        (records[1], "False 1", "True 1"),
    ]
    assert reported == [1, 2, 3, 4]
