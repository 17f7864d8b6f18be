"""The answers to clients, and which of them were wrong."""

from __future__ import annotations

from collections import Counter

from tunewright_contracts.document import Message
from tunewright_dev.demo.observed.ledger import Ledger

SETTLE_SECONDS = 5.0
"""An answer is judged this long after its end, so that the plan that was in force has been seen."""


class Answer(Message):
    """One line of the client's log; times are seconds since the epoch, and ``status`` 0 means no answer."""

    number: int
    start: float
    end: float
    session: str
    kind: str
    status: int
    revision: str = ""
    model: str = ""
    answer: str = ""
    tokens: int = 0
    error: str = ""

    @property
    def failed(self) -> bool:
        """Return whether the client got no successful answer."""
        return not 200 <= self.status < 300


class Tally:
    """Count answers, and compare each with the ledger when the plans of its time are known."""

    def __init__(self, alias: str, ledger: Ledger) -> None:
        self._alias = alias
        self._ledger = ledger
        self._pending: list[Answer] = []
        self._last = 0
        self.total = 0
        self.by_revision: Counter[str] = Counter()
        self.failed: list[Answer] = []
        self.wrong: list[str] = []
        """One sentence for each wrong answer."""

    def add(self, answer: Answer) -> bool:
        """Count an answer and return whether it was new: a log that is read again does not count twice."""
        if answer.number <= self._last:
            return False
        self._last = answer.number
        self.total += 1
        if answer.failed:
            self.failed.append(answer)
        else:
            self.by_revision[answer.revision] += 1
            self._pending.append(answer)
        return True

    def judge(self, now: float | None = None) -> None:
        """Judge the answers that ended `SETTLE_SECONDS` before ``now``; without a time, all of them."""
        later = []
        for answer in self._pending:
            if now is not None and answer.end > now - SETTLE_SECONDS:
                later.append(answer)
            elif (wrong := explain_wrong(answer, self._alias, self._ledger)) is not None:
                self.wrong.append(wrong)
        self._pending = later


def explain_wrong(answer: Answer, alias: str, ledger: Ledger) -> str | None:
    """Return the problem if an answer is from a revision that was not allowed to answer, otherwise None."""
    if answer.model != alias:
        return f"answer {answer.number} has the model {answer.model!r}; clients asked {alias!r}"
    allowed = ledger.allowed(alias, answer.start, answer.end)
    if answer.revision in allowed:
        return None
    return (
        f"answer {answer.number} is from {answer.revision or 'an unnamed revision'}; "
        f"allowed: {', '.join(sorted(allowed)) or 'none'}"
    )
