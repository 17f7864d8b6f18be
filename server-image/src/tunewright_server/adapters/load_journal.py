"""Which loads did not end, kept on disk: an adapter that stops vLLM must not stop each restart of the container too."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from tunewright_contracts.document import ContractError, Document
from tunewright_server.files import write_atomically

MAX_INTERRUPTED = 2
"""After that many processes that ended during a load of the adapter, it has failed permanently."""


class LoadHistory(Document):
    """How earlier loads of an adapter ended."""

    interrupted: int = 0
    """How many processes ended while they loaded it."""
    overdue: bool = False
    """Whether a load exceeded the deadline."""

    @property
    def is_final(self) -> bool:
        """Return whether the adapter is never loaded again."""
        return self.overdue or self.interrupted >= MAX_INTERRUPTED


@dataclasses.dataclass(frozen=True)
class LoadJournal:
    """One small file for each adapter whose load began and did not end, or exceeded the deadline."""

    folder: Path

    def read(self, name: str) -> LoadHistory:
        """Return how earlier loads of an adapter ended; an unreadable file counts as none."""
        try:
            return LoadHistory.from_json(self._path(name).read_bytes())
        except (OSError, ContractError):
            return LoadHistory()

    def begin(self, name: str) -> None:
        """Record that a load begins: until `end`, it counts as interrupted."""
        self._write(name, LoadHistory(interrupted=self.read(name).interrupted + 1))

    def end(self, name: str) -> None:
        """Record that the load ended, with or without success."""
        self._path(name).unlink(missing_ok=True)

    def mark_overdue(self, name: str) -> None:
        """Record that the load exceeded the deadline."""
        self._write(name, self.read(name).updated(overdue=True))

    def delete_others(self, names: Collection[str]) -> None:
        """Delete the records of all other adapters."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.stem not in names:
                    path.unlink(missing_ok=True)

    def _write(self, name: str, history: LoadHistory) -> None:
        write_atomically(self._path(name), history.to_json().encode())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"
