"""A small byte-level BPE tokenizer, like that of GPT-2, SmolLM2 and Qwen, as a base model's folder has it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (END_OF_TEXT, START, END)
"""Their IDs are 0, 1 and 2."""
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen splits text: line breaks stay together, also before a word. GPT-2 splits the last one off."""
CORPUS = (
    "system user assistant Question Answer Assistant User ticket parcel is late",
    "billing shipping returns technical the customer wrote about money",
    "a billing, a shipping, a returns; billing\n\n\n shipping\n\n\n returns\n\n\n the",
    '### Question: a\n### Answer: billing {"queue":"billing"} [INST] q [/INST] answer',
)


@functools.cache
def train_tokenizer(pattern: str = "") -> str:
    """Return the tokenizer.json: its tokens include " billing", "billing", and two and three line breaks."""
    encoder = tokenizers.Tokenizer(models.BPE())
    if pattern:
        split = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
        encoder.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    else:
        encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=1,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    encoder.train_from_iterator(CORPUS, trainer)
    return encoder.to_str()


def write_tokenizer(
    folder: Path,
    *,
    eos_token_id: int | list[int] | None = 0,
    eos_token: str = END_OF_TEXT,
    normalizer: Any = None,
    pattern: str = "",
) -> None:
    """Write the tokenizer's files of a base model; the defaults are those of one that was not trained on chats."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = tokenizers.Tokenizer.from_str(train_tokenizer(pattern))
    if normalizer is not None:
        encoder.normalizer = normalizer
    encoder.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos_token, "bos_token": START}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": eos_token_id}))
