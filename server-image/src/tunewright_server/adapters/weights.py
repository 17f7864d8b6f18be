"""Read safetensors without torch: the header's shapes, and whether every number is finite.

The format (huggingface.co/docs/safetensors): 8 bytes little-endian header length, a JSON header of
``{name: {dtype, shape, data_offsets}}``, then the data without gaps.
"""

from __future__ import annotations

import dataclasses
import json
import math
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tunewright_server.message_limits import quote

_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 100 * 1024 * 1024
_CHUNK_ELEMENTS = 1 << 20
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
# Not finite means that all bits of the exponent are set (IEEE 754; bfloat16 is the upper half of float32).
_EXPONENT: dict[str, tuple[np.dtype[np.unsignedinteger[Any]], int]] = {
    "F64": (np.dtype("<u8"), 0x7FF0_0000_0000_0000),
    "F32": (np.dtype("<u4"), 0x7F80_0000),
    "F16": (np.dtype("<u2"), 0x7C00),
    "BF16": (np.dtype("<u2"), 0x7F80),
}
FLOAT_TYPES = frozenset(_EXPONENT)


class WeightsError(Exception):
    """A file is not whole safetensors; the message shows what is wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file; ``start`` and ``end`` are byte positions in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors that a safetensors file declares, by name.

    Raises:
        WeightsError: the file is something else (a pickle), truncated, or its header contradicts itself.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(_LENGTH.size)
        if prefix.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
            raise WeightsError("it is a pickle (a PyTorch checkpoint), which can run code when it is opened")
        if len(prefix) < _LENGTH.size:
            raise WeightsError(f"it has {size} bytes, too few for a header")
        (length,) = _LENGTH.unpack(prefix)
        if length > min(size - _LENGTH.size, _MAX_HEADER_BYTES):
            raise WeightsError(f"its header claims {length} bytes and the file has {size}")
        try:
            header = json.loads(file.read(length))
            tensors = _parse_header(header, _LENGTH.size + length)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise WeightsError(f"its header cannot be read: {error}") from error
    position = _LENGTH.size + length
    for tensor in sorted(tensors.values(), key=lambda item: (item.start, item.end)):
        if tensor.start != position:
            raise WeightsError(
                f"tensor {quote(tensor.name)} begins at byte {tensor.start}, not {position}: gap or overlap"
            )
        position = tensor.end
    if position != size:
        raise WeightsError(f"its tensors end at byte {position} and the file has {size}: it is truncated or padded")
    return tensors


def find_non_finite(path: Path, tensors: dict[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity, or None.

    The tensors must be of `FLOAT_TYPES`. Reads through a memory map, a few megabytes at a time.
    """
    if all(tensor.start == tensor.end for tensor in tensors.values()):
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for tensor in sorted(tensors.values(), key=lambda item: item.start):
            unsigned, exponent = _EXPONENT[tensor.dtype]
            for chunk in _chunks(view, tensor, unsigned.itemsize):
                bits = np.frombuffer(chunk, dtype=unsigned)
                if bool(np.any((bits & unsigned.type(exponent)) == exponent)):
                    return tensor.name
    return None


def _chunks(view: mmap.mmap, tensor: Tensor, item_bytes: int) -> Iterator[bytes]:
    step = _CHUNK_ELEMENTS * item_bytes
    for start in range(tensor.start, tensor.end, step):
        yield view[start : min(start + step, tensor.end)]


def _parse_header(header: dict[str, dict[str, object]], data_start: int) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape = tuple(_natural(number) for number in _list(entry["shape"]))
        begin, end = (_natural(number) for number in _list(entry["data_offsets"]))
        dtype = str(entry["dtype"])
        item_bytes = _ITEM_BYTES.get(dtype)
        if end < begin or (item_bytes is not None and end - begin != math.prod(shape) * item_bytes):
            raise ValueError(
                f"tensor {quote(name)}: {quote(dtype)} {quote(list(shape))} does not fill bytes {begin} to {end}"
            )
        tensors[name] = Tensor(name, dtype, shape, data_start + begin, data_start + end)
    return tensors


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{quote(value)} is no list")
    return value


def _natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{quote(value)} is no natural number")
    return value
