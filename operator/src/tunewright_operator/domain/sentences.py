"""Messages that are joined from parts.

Parts come from this package, from pods, from the kubelet and from the API server, and not all of them are sentences.
"""

from __future__ import annotations

import functools
import re

_LOWER_CASE_WORD = re.compile(r"[a-z]+(?=[ ,]|'s )")
"""A word at the start of a text. A name is none: `spec.storage: …`, `support--40b02e06: …`, `s3://…`."""
_ENDED = re.compile(r"[.!?…][)\"'`]*$")


@functools.lru_cache(maxsize=1024)
def join_sentences(*parts: str) -> str:
    """Return the parts as sentences that end with a period; each one after the first starts with a capital letter.

    Empty parts are left out. The first part keeps its start, which may be another program's text. Joining a joined text
    again changes nothing. Most reconciliations report what the last one did, so that results are kept.
    """
    sentences = [_end_sentence(part.strip()) for part in parts if part.strip()]
    return " ".join([*sentences[:1], *(start_sentence(sentence) for sentence in sentences[1:])])


def start_sentence(text: str) -> str:
    """Return a text with a capital letter at its start, unless it starts with a name."""
    return text[0].upper() + text[1:] if _LOWER_CASE_WORD.match(text) else text


def _end_sentence(text: str) -> str:
    return text if _ENDED.search(text) else f"{text}."
