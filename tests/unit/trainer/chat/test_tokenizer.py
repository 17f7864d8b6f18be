"""The tokenizer that is read from a model's folder.

A fake replaces the library: its post-processor trims spaces from offsets, like that of GPT-NeoX.
"""

import sys
import types

import pytest

from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.errors import Reason, TrainerError


class TrimmingEncoder:
    """Like `tokenizers.Tokenizer` with ByteLevel(trim_offsets=True): a token of only spaces ends where it begins."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.post_processor = "ByteLevel(trim_offsets=True)"

    def no_padding(self):
        pass

    def no_truncation(self):
        pass

    def token_to_id(self, _token):
        return None

    def get_added_tokens_decoder(self):
        return {}

    def encode(self, sequence, *, add_special_tokens):
        encoding = self._encoder.encode(sequence, add_special_tokens=add_special_tokens)
        if self.post_processor is not None:
            encoding.offsets = [
                (end, end) if sequence[start:end].isspace() else (start, end) for start, end in encoding.offsets
            ]
        return encoding


@pytest.fixture
def from_folder(monkeypatch, tmp_path, tokenizer):
    library = types.SimpleNamespace(from_file=lambda _path: TrimmingEncoder(tokenizer._encoder))
    monkeypatch.setitem(sys.modules, "tokenizers", types.SimpleNamespace(Tokenizer=library))
    (tmp_path / "tokenizer.json").write_text("{}")
    return lambda: ConversationTokenizer.from_folder(tmp_path, tokenizer.template.source)


def test_spaces_are_learnt_with_any_post_processor(from_folder, talk, read_learned):
    example = from_folder().encode_example(talk(("user", "q"), ("assistant", '{\n  "a": 1\n}')))
    assert read_learned(example) == '{\n  "a": 1\n}<|im_end|>'


def test_example_labels(tokenizer, talk, read_learned):
    example = tokenizer.encode_example(talk(("user", "hi"), ("assistant", "yo")))
    assert read_learned(example) == "yo<|im_end|>"
    assert len(tokenizer.encode(talk(("user", "hi"), ("assistant", "yo"))).ids) == len(example.input_ids)


def test_prompt_ends_where_the_answer_begins(tokenizer, talk):
    prompt = tokenizer.encode_prompt(talk(("user", "hi")))
    assert tokenizer._encoder.decode(prompt, skip_special_tokens=False).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "chat_template.jinja",
            b"\xff",
            r"chat_template\.jinja is not UTF-8: .*; save it again, or set training\.chatT",
        ),
        (
            "tokenizer_config.json",
            b'{"chat_template": ["x", {"name": "rag", "template": "y"}]}',
            "has no chat template",
        ),
        ("tokenizer_config.json", b'{"chat_template": 7}', "has no chat template"),
    ],
)
def test_a_template_that_cannot_be_read_is_the_base_models_fault(from_folder, tmp_path, name, content, words):
    assert from_folder()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainerError, match=words) as error:
        ConversationTokenizer.from_folder(tmp_path)
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE
