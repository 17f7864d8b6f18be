"""Read safetensors without torch: which tensors a file declares, and whether all their values are finite.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the header's length, little-endian; the header, JSON
of ``{name: {dtype, shape, data_offsets}}``; then the data without gaps.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_LENGTH = struct.Struct("<Q")
_MAX_HEADER_BYTES = 16 << 20
"""Enough for 100,000 tensors. The library accepts 100 MB, and parsing that would take 1.5 GiB of memory."""
_PICKLE_BEGINNINGS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04")
_LARGEST_OFFSET = 2**64 - 1
_CHUNK_ELEMENTS = 1 << 20
_QUOTED_CHARACTERS = 200

# Not finite means that all bits of the exponent are set (IEEE 754; bfloat16 is the upper half of float32).
_EXPONENTS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
FLOAT_TYPES = frozenset(_EXPONENTS)
"""The types of an adapter's weights; a quantized base model also has others."""
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_ITEM_BYTES |= {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class SafetensorsError(Exception):
    """A file is not a complete safetensors file; the message states the problem, and truncates what it quotes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file; ``start`` and ``end`` are byte positions in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_tensors(path: Path, max_header_bytes: int | None = None) -> dict[str, Tensor]:
    """Return the tensors that a safetensors file declares, by name.

    Args:
        path: the file.
        max_header_bytes: a lower limit than the general one; a longer header is not read.

    Raises:
        SafetensorsError: the file is something else (a pickle), truncated, or has an inconsistent or too long header.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    limit = _MAX_HEADER_BYTES if max_header_bytes is None else min(max_header_bytes, _MAX_HEADER_BYTES)
    with path.open("rb") as file:
        prefix = file.read(_LENGTH.size)
        if prefix.startswith(_PICKLE_BEGINNINGS):
            raise SafetensorsError("it is a pickle (a PyTorch checkpoint), which can run code when it is opened")
        if len(prefix) < _LENGTH.size:
            raise SafetensorsError(f"it has {size} bytes, too few for a header")
        (length,) = _LENGTH.unpack(prefix)
        if length > size - _LENGTH.size:
            raise SafetensorsError(f"its header should have {length} bytes, but the file has {size}")
        if length > limit:
            raise SafetensorsError(f"its header should have {length} bytes, but at most {limit} are read")
        text = file.read(length)
    data_start = _LENGTH.size + length
    try:
        tensors = _parse_header(json.loads(text, object_pairs_hook=_refuse_repeated_keys), data_start)
    except (ValueError, RecursionError) as error:
        raise SafetensorsError(f"its header is invalid: {error}") from error
    _check_layout(tensors.values(), data_start, size)
    return tensors


def find_non_finite(path: Path, tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that contains NaN or infinity, or None.

    The file is read through a memory map, a few megabytes at a time.

    Args:
        path: the file.
        tensors: the result of `read_tensors` for this file.

    Raises:
        SafetensorsError: a tensor is not of `FLOAT_TYPES`.
    """
    import numpy as np  # noqa: PLC0415 - inspections read headers only

    for tensor in tensors.values():
        if tensor.dtype not in FLOAT_TYPES:
            raise SafetensorsError(
                f"tensor {_quote(tensor.name)} is {_quote(tensor.dtype)}, not one of {', '.join(_EXPONENTS)}"
            )
    if all(tensor.start == tensor.end for tensor in tensors.values()):
        return None  # a file without data cannot be mapped
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for tensor in sorted(tensors.values(), key=lambda item: item.start):
            kind, exponent = _EXPONENTS[tensor.dtype]
            unsigned = np.dtype(kind)
            for chunk in _chunks(view, tensor, unsigned.itemsize):
                bits = np.frombuffer(chunk, dtype=unsigned)
                if bool(np.any((bits & unsigned.type(exponent)) == exponent)):
                    return tensor.name
    return None


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object whose keys are unique: of two values for one name, another reader may take the other."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("it has a key more than once")
    return fields


def _parse_header(header: object, data_start: int) -> dict[str, Tensor]:
    if not isinstance(header, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - all errors of the file's content are ValueError
    return {name: _parse_entry(name, entry, data_start) for name, entry in header.items() if name != "__metadata__"}


def _parse_entry(name: str, entry: object, data_start: int) -> Tensor:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), _naturals(fields.get("shape")), _naturals(fields.get("data_offsets"))
    if not isinstance(dtype, str) or shape is None or offsets is None or len(offsets) != 2:
        raise ValueError(f"tensor {_quote(name)} has no usable dtype, shape and data_offsets: {_quote(entry)}")
    begin, end = offsets
    item_bytes = _ITEM_BYTES.get(dtype)
    if end < begin or (item_bytes is not None and not _fills(shape, item_bytes, end - begin)):
        raise ValueError(
            f"tensor {_quote(name)}: {_quote(dtype)} {_quote(list(shape))} does not fill bytes {begin} to {end}"
        )
    return Tensor(name, dtype, shape, data_start + begin, data_start + end)


def _fills(shape: tuple[int, ...], item_bytes: int, size: int) -> bool:
    """Return whether a tensor of this shape has ``size`` bytes, without the full product of a malicious shape."""
    product = item_bytes
    for length in shape:
        product *= length
        if product > _LARGEST_OFFSET:
            return False
    return product == size


def _check_layout(tensors: Iterable[Tensor], data_start: int, size: int) -> None:
    position = data_start
    for tensor in sorted(tensors, key=lambda item: (item.start, item.end)):
        if tensor.start != position:
            raise SafetensorsError(
                f"tensor {_quote(tensor.name)} begins at byte {tensor.start}, not {position}: gap or overlap"
            )
        position = tensor.end
    if position != size:
        raise SafetensorsError(
            f"its tensors end at byte {position}, but the file has {size}: it is truncated or padded"
        )


def _chunks(view: mmap.mmap, tensor: Tensor, item_bytes: int) -> Iterator[bytes]:
    step = _CHUNK_ELEMENTS * item_bytes
    for start in range(tensor.start, tensor.end, step):
        yield view[start : min(start + step, tensor.end)]


def _naturals(value: object) -> tuple[int, ...] | None:
    """Return a list of natural numbers as a tuple, or None if the value is anything else."""
    if not isinstance(value, list):
        return None
    numbers = tuple(number for number in value if isinstance(number, int) and not isinstance(number, bool))
    return numbers if len(numbers) == len(value) and all(number >= 0 for number in numbers) else None


def _quote(value: object) -> str:
    """Return a value of the file for a message: its Python form, in which unusual characters are escaped, truncated."""
    text = repr(value)
    half = _QUOTED_CHARACTERS // 2
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:half]}…{text[-half:]}"
