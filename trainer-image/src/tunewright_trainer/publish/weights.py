"""Look at the numbers in a safetensors file without torch.

Format: an 8-byte little-endian length, so much JSON that maps names to dtype, shape and data_offsets, then the data
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

# A floating-point number is NaN or infinite when all bits of its exponent are set (IEEE 754; bfloat16 alike).
_EXPONENTS: dict[str, tuple[type[np.unsignedinteger], int]] = {
    "F64": (np.uint64, 0x7FF0_0000_0000_0000),
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}


def find_non_finite(path: Path) -> str | None:
    """Return the name of the first tensor that holds NaN or an infinity, or None.

    Raises:
        ValueError: the file is not safetensors, or holds a type that adapters do not have.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        start = 8 + length
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if entry["dtype"] not in _EXPONENTS:
                raise ValueError(f"{name} has the type {entry['dtype']}, not one of {', '.join(_EXPONENTS)}")
            kind, exponent = _EXPONENTS[entry["dtype"]]
            begin, end = entry["data_offsets"]
            file.seek(start + begin)
            bits = np.frombuffer(file.read(end - begin), dtype=kind)
            mask = kind(exponent)
            if bool(((bits & mask) == mask).any()):
                return str(name)
    return None
