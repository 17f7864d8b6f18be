import dataclasses
import functools
import json
import re

import boto3
import moto
import pytest

from tunewright_contracts.run_spec import RunSpec
from tunewright_storage.object_store import ObjectStore
from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.chat.special_tokens import SpecialTokens
from tunewright_trainer.chat.template import ChatTemplate
from tunewright_trainer.chat.tokenizer import IGNORED_LABEL, ConversationTokenizer
from tunewright_trainer.process.settings import Settings

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKERS = {0xE001: "<|im_start|>", 0xE002: "<|im_end|>"}
"""The control tokens of the character tokenizer; other tokens are characters."""
_PIECES = re.compile("|".join([*map(re.escape, MARKERS.values()), "."]), re.DOTALL)


@functools.cache
def _client():
    """Return a cached client: botocore reads megabytes of service descriptions for each one."""
    return boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture
def store():
    """A store on an in-memory S3 with the bucket `bucket`."""
    with moto.mock_aws():
        _client().create_bucket(Bucket="bucket")
        yield ObjectStore(_client())


@dataclasses.dataclass
class Encoding:
    ids: list
    offsets: list


class CharacterEncoder:
    """One token per character or marker, so that offsets are easy to check."""

    def encode(self, sequence, *, add_special_tokens):
        assert not add_special_tokens
        identifiers = {text: token for token, text in MARKERS.items()}
        found = list(_PIECES.finditer(sequence))
        return Encoding([identifiers.get(item[0]) or ord(item[0]) for item in found], [item.span() for item in found])

    def decode(self, ids, *, skip_special_tokens=True):
        texts = dict.fromkeys(MARKERS, "") if skip_special_tokens else MARKERS
        return "".join(texts[token] if token in texts else chr(token) for token in ids)


@pytest.fixture
def tokenizer():
    special_tokens = SpecialTokens(stop=frozenset({0xE002}), control=MARKERS, added=frozenset(MARKERS))
    return ConversationTokenizer(CharacterEncoder(), ChatTemplate(CHATML, {}), special_tokens)


@pytest.fixture
def read_learned():
    """Return the text of the labels of an example."""

    def read(example):
        labels = [label for label in example.labels if label != IGNORED_LABEL]
        return CharacterEncoder().decode(labels, skip_special_tokens=False)

    return read


@pytest.fixture
def use_tokenizer(monkeypatch, tokenizer):
    """Let the phase use the character tokenizer, so that the base model in the bucket needs no real files."""
    monkeypatch.setattr(
        ConversationTokenizer, "from_folder", classmethod(lambda _cls, _folder, _template="": tokenizer)
    )
    return tokenizer


@pytest.fixture
def settings(tmp_path):
    return Settings(
        run_spec=tmp_path / "run.json",
        document_key=tmp_path / "key",
        termination_log=tmp_path / "termination-log",
        sources_root=tmp_path / "sources",
        work=tmp_path / "work",
        progress_port=0,
        pod_uid="0a1b2c3d-0000",
        patience_seconds=0,
    )


@pytest.fixture
def make_spec():
    """Build a RunSpec; keyword arguments replace whole sections of its wire form."""

    def make(**sections):
        wire = {
            "job": {"namespace": "support", "name": "tickets", "uid": "12345678-9abc"},
            "baseModel": {
                "name": "tiny",
                "s3": {"uri": "s3://bucket/models/tiny"},
                "digest": "sha256:" + "b" * 64,
                "contextLength": 4096,
            },
            "dataset": {"sources": [{"name": "tickets", "configMap": True}]},
            "training": {},
            "evaluation": {"metrics": [{"type": "ExactMatch"}]},
            "outputUri": "s3://bucket/adapters",
            "runUri": "s3://bucket/adapters/runs/support/tickets-12345678",
        }
        return RunSpec.from_wire({**wire, **sections})

    return make


@pytest.fixture
def talk():
    """Build a conversation from ("role", "content") pairs."""
    return lambda *turns: tuple(ChatMessage(role, content) for role, content in turns)


@pytest.fixture
def jsonl():
    """Build JSONL text with this number of different Messages records."""

    def make(count, start=0):
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"question {n}"},
                    {"role": "assistant", "content": f"answer {n}"},
                ]
            }
            for n in range(start, start + count)
        ]
        return "".join(json.dumps(row) + "\n" for row in rows)

    return make
