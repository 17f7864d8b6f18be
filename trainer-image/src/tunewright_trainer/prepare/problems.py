"""Invalid records: the first few in messages, all of them in a file of the run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError
from tunewright_storage.store import Store
from tunewright_trainer.run_folder import INVALID_RECORDS_NAME, write_lines

SHOWN_PROBLEMS = 5
KEPT_PROBLEMS = 10_000
"""The longest list: whoever has more invalid records has one cause, and memory has a bound."""
_SHOWN_BYTES = 140
"""Of each problem in a message: five of them leave room in 1 KiB for the list's address and what to do."""
_REASON_CHARACTERS = 500
log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """An invalid record; ``reason`` may quote it."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def build_problem(file: str, line: int, error: Exception) -> Problem:
    """Return the problem of a record.

    The reason may quote the record, which can be long or hold half of a surrogate pair: it is cut and fit for UTF-8.
    """
    reason = str(error).encode(errors="replace").decode()
    return Problem(file, line, reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}…")


def show_problems(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Return the first problems as messages have them: ``<file>:<line>: <reason>``, at most 143 bytes each."""
    return tuple(_shorten(str(problem)) for problem in problems[:SHOWN_PROBLEMS])


def list_problems(store: Store, run: StorageURI, problems: Sequence[Problem], count: int) -> str:
    """Store the list of invalid records and return its address; empty when there is none or it cannot be stored.

    One JSON object a line: file, line and reason; a last line ``{"more": N}`` when only the first are kept. Whether
    the records are tolerated is what a job fails for, so that a list that cannot be stored is only logged.

    Args:
        store: takes the list.
        run: the run's folder.
        problems: the first `KEPT_PROBLEMS`.
        count: how many there are.
    """
    if not problems:
        return ""
    uri = run.join(INVALID_RECORDS_NAME)
    try:
        write_lines(store, uri, _build_rows(problems, count))
    except StorageError as error:
        log.warning("invalid_records_not_stored", uri=str(uri), error=str(error))
        return ""
    return str(uri)


def _build_rows(problems: Sequence[Problem], count: int) -> Iterator[dict[str, Any]]:
    for problem in problems:
        yield {"file": problem.file, "line": problem.line, "reason": problem.reason}
    if count > len(problems):
        yield {"more": count - len(problems)}


def _shorten(text: str) -> str:
    data = text.encode()
    return text if len(data) <= _SHOWN_BYTES else data[:_SHOWN_BYTES].decode(errors="ignore") + "…"
