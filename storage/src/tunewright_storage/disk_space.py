"""Recognise a full disk in the words of Python, Rust and PyTorch."""

from __future__ import annotations

import errno
from collections.abc import Iterator

_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_TEXTS = (
    *(f"(os error {number})" for number in sorted(_ERRNOS)),  # Rust: hf_xet, safetensors, tokenizers
    *(f"code: {number}, kind:" for number in sorted(_ERRNOS)),  # Rust's Debug form
    *(f"[errno {number}]" for number in sorted(_ERRNOS)),  # an OSError that a library quotes
    "no space left on device",
    "disk quota exceeded",
    # PyTorch's zip writer does not say why a write failed: caffe2/serialize/inline_container.cc
    "pytorchstreamwriter failed writing file",
    "unexpected pos",
    "basic_ios::clear: iostream error",
)


def is_disk_full(error: BaseException) -> bool:
    """Return whether a full disk caused an exception; its causes are checked, too."""
    return any(_is_full(item) for item in _chain(error))


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return True
    text = str(error).lower()
    return any(part in text for part in _TEXTS)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
