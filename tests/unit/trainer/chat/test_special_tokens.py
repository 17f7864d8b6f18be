"""Which tokens end an answer, and which tokens are not text."""

import json

import pytest

from support.tokenizers import write_tokenizer
from tunewright_trainer.chat.special_tokens import SpecialTokens, cut_at_stop
from tunewright_trainer.chat.tokenizer import ConversationTokenizer


def read(folder, config=None, **model):
    write_tokenizer(folder, **model)
    (folder / "config.json").write_text(json.dumps(config or {}))
    return ConversationTokenizer.from_folder(folder, "{{ messages }}").special_tokens


@pytest.mark.parametrize(
    ("eos_token_id", "eos_token", "config", "stop"),
    [
        (0, "<|endoftext|>", {}, {0}),
        (0, "<|im_end|>", {}, {0, 2}),
        ([0, 2], "", {}, {0, 2}),
        (None, "", {"eos_token_id": 2}, {2}),
        (0, "", {"eos_token_id": 2}, {0}),
        (None, "", {"text_config": {"eos_token_id": [2, 7]}}, {2, 7}),
        (None, "", {"text_config": None}, set()),
        ("0", "no such token", {"eos_token_id": True}, set()),
    ],
)
def test_the_stop_tokens_are_those_of_vllm(tmp_path, eos_token_id, eos_token, config, stop):
    assert read(tmp_path, config, eos_token_id=eos_token_id, eos_token=eos_token).stop == stop


def test_the_generation_settings_may_be_missing(tmp_path):
    write_tokenizer(tmp_path, eos_token="<|im_end|>")
    (tmp_path / "generation_config.json").unlink()
    assert ConversationTokenizer.from_folder(tmp_path, "{{ messages }}").special_tokens.stop == {2}


def test_control_tokens_are_no_text(tmp_path):
    special = read(tmp_path)
    assert special.control == {0: "<|endoftext|>", 1: "<|im_start|>", 2: "<|im_end|>"}
    assert special.added == {0, 1, 2}


def test_an_added_token_that_is_text_can_end_an_answer_but_is_no_control_token(tmp_path):
    write_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    content["added_tokens"][2]["special"] = False
    path.write_text(json.dumps(content))
    special = ConversationTokenizer.from_folder(tmp_path, "{{ messages }}").special_tokens
    assert special.control.keys() == {0, 1}
    assert [special.can_end_an_answer(token) for token in (0, 2, 3)] == [True, True, False]
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    special = ConversationTokenizer.from_folder(tmp_path, "{{ messages }}").special_tokens
    assert special.control.keys() == {0, 1, 2}, "a stop token is no text, either"


@pytest.mark.parametrize(
    ("tokens", "stop", "kept"),
    [([5, 6, 2, 7, 2], {2}, [5, 6]), ([5, 6], {2}, [5, 6]), ([2], {2}, []), ([5, 2], (), [5, 2]), ([], {2}, [])],
)
def test_an_answer_ends_before_its_first_stop_token(tokens, stop, kept):
    assert cut_at_stop(tokens, stop) == kept


def test_without_special_tokens_only_added_ones_end_an_answer():
    assert not SpecialTokens().can_end_an_answer(0)
