"""The arms of an evaluation: whom each question is sent to, and which answers are known already."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tunewright_contracts.authentication.document_key import DocumentKey
from tunewright_contracts.evaluation_report import ArmAnswers, EvaluationRequest
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import AnswerConditions
from tunewright_evaluator import answer_store
from tunewright_evaluator.answer_store import Recalled
from tunewright_evaluator.comparison import BASE, CANDIDATE, INCUMBENT
from tunewright_evaluator.records import Record
from tunewright_storage.store import Store

NOTHING = Recalled()


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm: `name` is its place in the comparison, `target` the revision that answers, or the base model."""

    name: str
    target: str
    records: tuple[Record, ...]
    conditions: AnswerConditions | None = None
    recalled: Recalled = NOTHING

    @property
    def missing(self) -> tuple[Record, ...]:
        """The records without a known answer."""
        return tuple(record for record in self.records if record.question not in self.recalled.answers)

    def join(self, asked: Sequence[str]) -> list[str]:
        """Return the answers to all records, in their order, from those to the missing ones."""
        new = iter(asked)
        return [
            self.recalled.answers[record.question] if record.question in self.recalled.answers else next(new)
            for record in self.records
        ]


async def plan_arms(request: EvaluationRequest, store: Store, records: Sequence[Record], key: DocumentKey) -> list[Arm]:
    """Return the arms in the order in which they are asked.

    The candidate is always asked: an evaluation that is repeated measures it again.
    """
    targets = {CANDIDATE: request.candidate, BASE: BASE_MODEL_TARGET}
    if request.incumbent is not None:
        targets[INCUMBENT] = request.incumbent
    arms: list[Arm] = []
    for name, target in targets.items():
        conditions = answer_store.build_conditions(request, target)
        recalled = NOTHING
        if name != CANDIDATE:
            recalled = await answer_store.recall(store, request, conditions, key)
        arms.append(Arm(name, target, tuple(records), conditions, recalled))
    return arms


async def finish_arm(
    store: Store, report_uri: StorageURI, arm: Arm, answers: Sequence[str], key: DocumentKey
) -> ArmAnswers:
    """Store an arm's answers if new ones are among them, and return how the arm got them."""
    asked = len(arm.missing)
    done = ArmAnswers(target=arm.target, asked=asked, reused=len(arm.records) - asked, note=arm.recalled.note)
    if not asked:
        return done
    if arm.conditions is None:
        return done.updated(note=answer_store.UNKNOWN_ENGINE)
    kept = await answer_store.keep(store, report_uri, arm.conditions, arm.records, answers, key=key)
    return done.updated(stored=kept)
