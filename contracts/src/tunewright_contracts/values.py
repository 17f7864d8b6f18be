"""The values of documents that other processes write, with the bounds that every reader enforces.

Tenants can write such documents: they own buckets, pods and Jobs. What a document contributes ends in a status, a
condition or a log. Without bounds, one number above 64 bits or one name that is too long makes the API server refuse
the whole status, so that nothing that happens to the resource is shown any more. So names, addresses and numbers
outside their bounds are refused, and texts for users are shortened.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from tunewright_contracts.storage_uri import StorageURI

MAX_COUNT = 1 << 40
"""More than any pool answers or any dataset has, and small enough that sums over all pods fit in 64 bits."""
MAX_BYTES = 1 << 50
"""Larger than any real file, and small enough that a sum of sizes fits in 64 bits."""
MAX_RANK = 512
"""The highest LoRA rank of vLLM."""
MAX_TEXT_CHARACTERS = 4096
"""The longest message of a condition."""
MAX_SHORT_TEXT_CHARACTERS = 1024
MAX_WORD_CHARACTERS = 64
MAX_NAME_CHARACTERS = 253
MAX_ADDRESS_CHARACTERS = 1024
MAX_STOP_TOKENS = 16
"""A chat template ends answers with one token, seldom with two."""

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that change what a terminal or a page shows of the text around them; line feeds and tabs do not."""
_LINE_ENDS = re.compile(r"\r\n?")


def show(text: str, limit: int) -> str:
    """Return a text for users: at most ``limit`` characters, with "�" for each character that could hide others.

    A carriage return, with which progress bars write over themselves, is the end of a line.
    """
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return shown if shown.isprintable() else _UNSAFE.sub("\ufffd", _LINE_ENDS.sub("\n", shown))


def _check_address(text: str) -> str:
    if text:
        StorageURI.parse(text)
    return text


Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
"""A number of things."""
Size = Annotated[int, Field(ge=0, le=MAX_BYTES)]
"""A number of bytes."""
Rank = Annotated[int, Field(ge=1, le=MAX_RANK)]
"""The rank of an adapter."""

Word = Annotated[
    str,
    AfterValidator(lambda text: show(text, MAX_WORD_CHARACTERS)),
    WithJsonSchema({"type": "string", "maxLength": MAX_WORD_CHARACTERS}),
]
"""A reason, which the reader checks against the form that conditions have."""
ShortText = Annotated[
    str,
    AfterValidator(lambda text: show(text, MAX_SHORT_TEXT_CHARACTERS)),
    WithJsonSchema({"type": "string", "maxLength": MAX_SHORT_TEXT_CHARACTERS}),
]
"""A text for users, of which one object has many."""
Text = Annotated[
    str,
    AfterValidator(lambda text: show(text, MAX_TEXT_CHARACTERS)),
    WithJsonSchema({"type": "string", "maxLength": MAX_TEXT_CHARACTERS}),
]
"""A text for users."""
Name = Annotated[str, StringConstraints(max_length=MAX_NAME_CHARACTERS, pattern=r"^[A-Za-z0-9_.:/@+-]*$")]
"""The name or the version of a Kubernetes object, a repository or a package; it may be empty."""
MetricName = Annotated[str, StringConstraints(max_length=MAX_WORD_CHARACTERS, pattern=r"^[A-Za-z0-9_.-]+$")]
"""The type of a metric."""
Address = Annotated[str, Field(max_length=MAX_ADDRESS_CHARACTERS), AfterValidator(_check_address)]
"""An `s3://` address that `StorageURI.parse` accepts; it may be empty."""
Time = Annotated[str, StringConstraints(max_length=MAX_WORD_CHARACTERS, pattern=r"^[0-9TZ:.+-]*$")]
"""A time as text; its reader checks the form."""

StopTokens = Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 31)], ...], Field(max_length=MAX_STOP_TOKENS)]
"""Token IDs that end an answer, in ascending order, in addition to those of the base model.

They travel from the prepared data to the adapter's manifest, to the serving plan, and to each request. Documents of an
earlier release have None: only the base model's tokens end an answer.
"""
