"""Creates keys, from the operating system's random numbers."""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets

from tunewright_contracts.clients.client_key import (
    ALPHABET,
    ID_LENGTH,
    SECRET_LENGTH,
    build_client_key,
    hash_client_key,
)
from tunewright_contracts.times import format_time


@dataclasses.dataclass(frozen=True)
class NewKey:
    """A key that no cluster knows yet. Its text is in no message: it goes to one place, which the user chooses."""

    id: str
    text: str = dataclasses.field(repr=False)
    not_after: dt.datetime | None

    def __str__(self) -> str:
        end = "does not end" if self.not_after is None else f"ends at {format_time(self.not_after)}"
        return f"{self.id}, which {end}"

    def to_entry(self) -> dict[str, str]:
        """Return what a ModelClient has of the key."""
        entry = {"id": self.id, "sha256": hash_client_key(self.text)}
        return entry if self.not_after is None else {**entry, "notAfter": format_time(self.not_after)}


def create_key(not_after: dt.datetime | None) -> NewKey:
    """Return a new key."""
    key_id = _choose(ID_LENGTH)
    return NewKey(key_id, build_client_key(key_id, _choose(SECRET_LENGTH)), not_after)


def _choose(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
