"""The tokenizer that is read from a model's folder.

A fake replaces the library: its post-processor trims spaces from offsets, like that of GPT-NeoX.
"""

import sys
import types

import pytest

from tunewright_trainer.chat.tokenizer import ConversationTokenizer


class TrimmingEncoder:
    """Like `tokenizers.Tokenizer` with ByteLevel(trim_offsets=True): a token of only spaces ends where it begins."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.post_processor = "ByteLevel(trim_offsets=True)"

    def no_padding(self):
        pass

    def no_truncation(self):
        pass

    def encode(self, sequence, *, add_special_tokens):
        encoding = self._encoder.encode(sequence, add_special_tokens=add_special_tokens)
        if self.post_processor is not None:
            pairs = zip(sequence, encoding.offsets, strict=True)
            encoding.offsets = [(end, end) if letter.isspace() else (start, end) for letter, (start, end) in pairs]
        return encoding


@pytest.fixture
def from_folder(monkeypatch, tmp_path, tokenizer):
    library = types.SimpleNamespace(from_file=lambda _path: TrimmingEncoder(tokenizer._encoder))
    monkeypatch.setitem(sys.modules, "tokenizers", types.SimpleNamespace(Tokenizer=library))
    (tmp_path / "tokenizer.json").write_text("{}")
    return lambda: ConversationTokenizer.from_folder(tmp_path, tokenizer.template.source)


def test_spaces_are_learnt_with_any_post_processor(from_folder, talk):
    example = from_folder().encode_example(talk(("user", "q"), ("assistant", '{\n  "a": 1\n}')))
    learnt = "".join(chr(label) for label in example.labels if label != -100)
    assert learnt == '{\n  "a": 1\n}<|im_end|>'


def test_example_labels(tokenizer, talk):
    example = tokenizer.encode_example(talk(("user", "hi"), ("assistant", "yo")))
    assert "".join(chr(label) for label in example.labels if label != -100) == "yo<|im_end|>"
    assert tokenizer.count_tokens(talk(("user", "hi"), ("assistant", "yo"))) == len(example.input_ids)


def test_prompt_ends_where_the_answer_begins(tokenizer, talk):
    assert tokenizer.decode(tokenizer.encode_prompt(talk(("user", "hi")))).endswith("<|im_start|>assistant\n")
