"""Report invalid records: the first few in messages, up to 10,000 in a file in the run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from tunewright_contracts.dataset_lines import InvalidRecordError
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError
from tunewright_storage.store import Store
from tunewright_trainer.prepare.validate import Fault, RecordError
from tunewright_trainer.run_folder import INVALID_RECORDS_NAME, write_lines

SHOWN_PROBLEMS = 5
KEPT_PROBLEMS = 10_000
"""The length of the list. So many invalid records usually have one cause, and the limit bounds the memory use."""
_SHOWN_BYTES = 140
"""The most bytes of a problem in a message: five of them leave room in 1 KiB for the list's address and the remedy."""
_REASON_CHARACTERS = 500
log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """An invalid record; ``reason`` may quote parts of it, and ``fault`` is what makes it invalid."""

    file: str
    line: int
    reason: str
    fault: Fault = Fault.RECORD

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def build_problem(file: str, line: int, error: InvalidRecordError) -> Problem:
    """Return the problem of a record.

    The reason may quote the record, which can be long or contain half of a surrogate pair. So it is truncated, and what
    UTF-8 cannot encode is replaced.
    """
    reason = str(error).encode(errors="replace").decode()
    reason = reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}…"
    return Problem(file, line, reason, error.fault if isinstance(error, RecordError) else Fault.RECORD)


def show_problems(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Return the first problems for a message: ``<file>:<line>: <reason>``, at most 143 bytes each."""
    return tuple(_shorten(str(problem)) for problem in problems[:SHOWN_PROBLEMS])


def list_problems(store: Store, run: StorageURI, problems: Sequence[Problem], count: int) -> str:
    """Store the list of invalid records and return its address; empty if there are none or the write failed.

    Each line is a JSON object with file, line and reason. If there are more problems than the list has, its last line
    is ``{"more": N}``. A failed write is only logged: it must not fail a job that tolerates its invalid records.

    Args:
        store: where to store the list.
        run: the run's folder.
        problems: the first `KEPT_PROBLEMS`.
        count: how many problems there are.
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
