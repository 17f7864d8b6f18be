"""`s3://bucket/prefix` addresses: parsing, joining, and the containment check that multi-tenancy depends on."""

from __future__ import annotations

import dataclasses
import re
import unicodedata

_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_FORBIDDEN = re.compile(r"[%\\?#*\x00-\x1f\x7f]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode's categories of characters that a terminal or a browser does not show, or that change how others look."""
_MAX_KEY_BYTES = 1024


class StorageURIError(ValueError):
    """An address is not a plain ``s3://bucket/key``; the message names the broken rule."""


@dataclasses.dataclass(frozen=True, slots=True)
class StorageURI:
    """An object or a prefix in an S3 bucket.

    ``key`` never begins or ends with a slash and is empty for the whole bucket.
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> StorageURI:
        """Parse an address, and reject an ambiguous one.

        Empty segments, ``.``, ``..``, percent escapes, backslashes, invisible characters, queries and fragments are
        rejected instead of normalized, because a check and a fetch may normalize them differently.

        Raises:
            StorageURIError: the address breaks a rule, which the message names.
        """
        if not text.startswith("s3://"):
            raise StorageURIError(f"{text!r} must begin with s3://")
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not _BUCKET.match(bucket):
            raise StorageURIError(f"{text!r}: {bucket!r} is not a bucket name (3 to 63 of a-z, 0-9, '.', '-')")
        key = key.removesuffix("/")
        if not key:
            return cls(bucket, "")
        if _FORBIDDEN.search(key):
            raise StorageURIError(f"{text!r} must not contain any of % \\ ? # * or control characters")
        if any(unicodedata.category(character) in _INVISIBLE for character in key):
            raise StorageURIError(
                f"{text!r} must not contain control, bidirectional, zero-width or line-separator characters"
            )
        if any(segment in ("", ".", "..") for segment in key.split("/")):
            raise StorageURIError(f"{text!r} must not contain empty, '.' or '..' segments")
        if len(key.encode()) > _MAX_KEY_BYTES:
            raise StorageURIError(f"{text!r}: the key has more than {_MAX_KEY_BYTES} bytes")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"

    def join(self, *parts: str) -> StorageURI:
        """Return the address below this one; each part must follow the rules of `parse`."""
        base = str(self)
        return StorageURI.parse("/".join([base, *(part.strip("/") for part in parts)]))

    def overlaps(self, other: StorageURI) -> bool:
        """Return whether one of the two addresses is at or below the other."""
        return self.is_within(other) or other.is_within(self)

    def is_within(self, prefix: StorageURI) -> bool:
        """Return whether this is at or below a prefix, by complete segments: ``a/bc`` is not within ``a/b``."""
        if self.bucket != prefix.bucket:
            return False
        return not prefix.key or self.key == prefix.key or self.key.startswith(prefix.key + "/")
