"""How earlier candidates ended, and what follows for the same digest now. The newest entry comes first."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright_operator.api.adapter_deployment import CandidateRevision, HistoryEntry, Outcome, Revision

_REVISION_FIELDS = tuple(Revision.model_fields)


def as_revision(revision: Revision) -> Revision:
    """Return the plain revision of a stable, candidate or history entry."""
    return Revision(**{name: getattr(revision, name) for name in _REVISION_FIELDS})


def last_outcome(history: Sequence[HistoryEntry], digest: str) -> Outcome | None:
    """Return how the digest ended last; None if it was never a candidate, or too long ago."""
    return next((entry.outcome for entry in history if entry.digest == digest), None)


def is_excluded(history: Sequence[HistoryEntry], digest: str) -> bool:
    """Return whether a digest was rolled back or aborted last: only a manual request can bring it back."""
    return last_outcome(history, digest) in {Outcome.ROLLED_BACK, Outcome.ABORTED}


def may_skip_steps(history: Sequence[HistoryEntry], revision: Revision, *, named: bool) -> bool:
    """Return whether a revision may skip the steps and begin with its bake.

    Its last outcome must be a promotion on the same base model, and a user must have named it: by uri, by job, or by
    the rollback annotation. A revision that a selector found goes through all steps.
    """
    if not named:
        return False
    for entry in history:
        if entry.digest == revision.digest:
            return entry.outcome is Outcome.PROMOTED and entry.base_model_digest == revision.base_model_digest
    return False


def find_revision(history: Sequence[HistoryEntry], name: str) -> HistoryEntry | None:
    """Return the newest entry with a revision's name."""
    return next((entry for entry in history if entry.revision == name), None)


def add_entry(history: Sequence[HistoryEntry], entry: HistoryEntry, limit: int) -> tuple[HistoryEntry, ...]:
    """Return the history with a new first entry: at most `limit` entries, but at least one."""
    return (entry, *history)[: max(1, limit)]


def end_candidate(candidate: CandidateRevision, outcome: Outcome, reason: str, message: str, now: str) -> HistoryEntry:
    """Return the entry of a candidate that ended now."""
    return HistoryEntry(
        **as_revision(candidate).model_dump(),
        outcome=outcome,
        reason=reason,
        message=message,
        from_=candidate.accepted_at,
        to=now,
        report_uri=candidate.report_uri,
    )
