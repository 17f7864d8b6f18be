"""The next conditions of a resource, computed from the last ones, and what changed between them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

from tunewright_contracts.times import format_time
from tunewright_contracts.values import show
from tunewright_operator.api.conditions import Condition, ConditionStatus
from tunewright_operator.domain.sentences import join_sentences

MAX_CONDITION_MESSAGE = 4096
"""metav1.Condition allows 32768 characters, which is more than a user reads."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A condition as a decision wants it; `merge_conditions` adds its time and its generation."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """A condition whose status or reason changed; ``before`` is None when it is new."""

    before: Condition | None
    after: Condition


def merge_conditions(
    old: Iterable[Condition], wanted: Sequence[Wanted], *, generation: int, now: dt.datetime
) -> tuple[Condition, ...]:
    """Return the wanted conditions in their order; an old condition that is not wanted is dropped.

    ``lastTransitionTime`` changes only with the status, as the Kubernetes API conventions require. Each message ends
    with a period, also if it comes from a pod or from the API server.
    """
    by_type = {condition.type: condition for condition in old}
    return tuple(_merge(by_type.get(want.type), want, generation, now) for want in wanted)


def find_transitions(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Transition, ...]:
    """Return the conditions of ``new`` whose status or reason differs from ``old``."""
    by_type = {condition.type: condition for condition in old}
    return tuple(
        Transition(by_type.get(condition.type), condition)
        for condition in new
        if _essence(by_type.get(condition.type)) != _essence(condition)
    )


def _merge(before: Condition | None, want: Wanted, generation: int, now: dt.datetime) -> Condition:
    message = show(join_sentences(want.message), MAX_CONDITION_MESSAGE)
    kept = before if before is not None and before.status == want.status else None
    if kept is not None and (kept.reason, kept.message) == (want.reason, message):
        # Most conditions of most reconciliations are as they were.
        return kept if kept.observed_generation == generation else kept.updated(observed_generation=generation)
    return Condition(
        type=want.type,
        status=want.status,
        reason=str(want.reason),
        message=message,
        observed_generation=generation,
        last_transition_time=kept.last_transition_time if kept is not None else format_time(now),
    )


def _essence(condition: Condition | None) -> tuple[str, str] | None:
    return None if condition is None else (condition.status, condition.reason)
