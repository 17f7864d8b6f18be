"""Condition arithmetic: the next set of conditions from the last one, and what changed between them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

from tunewright_contracts.times import format_time
from tunewright_operator.api.conditions import Condition, ConditionStatus

MAX_CONDITION_MESSAGE = 4096
"""metav1.Condition allows 32768; nobody reads more than this."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A condition as a decision wants it; times and generation are added by `merge_conditions`."""

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
    """Return the wanted conditions, in their order; those not wanted disappear.

    ``lastTransitionTime`` moves only when the status changes, as the Kubernetes API conventions demand.
    """
    by_type = {condition.type: condition for condition in old}
    merged: list[Condition] = []
    for want in wanted:
        before = by_type.get(want.type)
        kept = before is not None and before.status == want.status
        merged.append(
            Condition(
                type=want.type,
                status=want.status,
                reason=str(want.reason),
                message=shorten(want.message, MAX_CONDITION_MESSAGE),
                observed_generation=generation,
                last_transition_time=before.last_transition_time if before is not None and kept else format_time(now),
            )
        )
    return tuple(merged)


def find_transitions(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Transition, ...]:
    """Return the conditions of ``new`` whose status or reason differ from ``old``."""
    by_type = {condition.type: condition for condition in old}
    return tuple(
        Transition(by_type.get(condition.type), condition)
        for condition in new
        if _essence(by_type.get(condition.type)) != _essence(condition)
    )


def shorten(text: str, limit: int) -> str:
    """Return text of at most ``limit`` characters, with a mark where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _essence(condition: Condition | None) -> tuple[str, str] | None:
    return None if condition is None else (condition.status, condition.reason)
