"""The format of a client's key: ``sk-tw-<id>_<secret><checksum>``.

The id is public: logs and people name a key by it. The secret has 256 bits, so a plain SHA-256 of the whole key can be
stored: there is nothing to guess. The checksum lets servers and secret scanners reject a typing error without a list.
Only the SHA-256 of a key leaves the machine that created it.
"""

from __future__ import annotations

import hashlib
import re
import string
import zlib

KEY_PREFIX = "sk-tw-"
ID_LENGTH = 12
SECRET_LENGTH = 43
"""62^43 exceeds 2^256."""
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_PATTERN = rf"^[0-9A-Za-z]{{{ID_LENGTH}}}$"
HASH_PATTERN = r"^[0-9a-f]{64}$"
"""The SHA-256 of a key, in hexadecimal."""
_CHECKSUM_LENGTH = 6
"""62^6 exceeds 2^32."""
_SHAPE = re.compile(
    rf"{KEY_PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}})[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}}"
)

SECRET_IN_TEXT = re.compile(rf"(?<=\b{KEY_PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_)[0-9A-Za-z]{{3,}}")
"""The part of a key that must be in no message, also if it was cut off."""
MASK = "***"


def build_client_key(key_id: str, secret: str) -> str:
    """Return the key with an id and a secret, which are base62 of `ID_LENGTH` and `SECRET_LENGTH`."""
    text = f"{KEY_PREFIX}{key_id}_{secret}"
    return text + _compute_checksum(text)


def find_key_id(text: str) -> str | None:
    """Return the id of a key; None if the text is not a key or its checksum is wrong."""
    match = _SHAPE.fullmatch(text)
    if match is None or build_client_key(match[1], match[2]) != text:
        return None
    return match[1]


def hash_client_key(key: str) -> str:
    """Return what a list of clients has of a key: the SHA-256 of its text, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def mask_client_keys(text: str) -> str:
    """Return a text in which each key has only its public part."""
    return SECRET_IN_TEXT.sub(MASK, text)


def _compute_checksum(text: str) -> str:
    """Return the CRC-32 of a text in base62, the most significant digit first."""
    rest = zlib.crc32(text.encode())
    digits: list[str] = []
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
