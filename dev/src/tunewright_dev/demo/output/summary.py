"""`build/demo/summary.json`: the measured results of the demo, and what is required of them.

The sources of the figures:

- quality: the evaluation report of the last promoted job; the real servers answered its held-out set, base and tuned
  the same records.
- answers: the log of the client pod, compared with the ledger of plans.
- rollouts: the AdapterDeployment's history. The share is the largest weight that a plan gave the candidate.
- seconds: applyToTrained and trainedToPromoted are for the last promoted job, from its creation and from its end.
  badOfflineToRolledBack is the time from a candidate's acceptance to its end. badLiveToRolledBack is the time from the
  first plan that gave the candidate clients to the plan that removed them. stages: the duration of each stage of the
  story after set-up, in their order.
- speed: tokens per second of the pool before the story starts, with as many requests at a time as the canaries have.
- convergenceSeconds: the longest time between seeing a written plan and seeing the pod report it.
- peakMemoryMiB: the largest working set that the kubelet reported, read every 15 s (`feed.POLL_SECONDS`).
- coldSetupSeconds: on a bare machine, from the start of this program to an installed chart, without the creation of
  .venv (dev/bootstrap). Null if this program never ran on this machine when it was bare.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MINIMUM_EXACT_MATCH = 0.70
MINIMUM_VALID_JSON = 0.95
MAXIMUM_BASE_EXACT_MATCH = 0.20
MINIMUM_ANSWERS = 100
MINIMUM_HELD_OUT = 200
PROMOTED = "Promoted"
ROLLED_BACK = "RolledBack"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Quality(_Part):
    """Scores in [0, 1] of one model on ``n`` held-out records."""

    exact_match: float
    valid_json: float = Field(alias="validJSON")
    n: int


class Qualities(_Part):
    """The scores without and with the adapter."""

    base: Quality
    tuned: Quality


class Answers(_Part):
    """Counts of answers; ``wrong``: from a revision that was not allowed to answer then, ``failed``: not a 2xx."""

    total: int
    wrong: int
    failed: int
    by_revision: dict[str, int]


class RolloutResult(_Part):
    """The rollout of one job's adapter; ``name`` is the job's."""

    name: str
    outcome: str
    stage: str
    candidate_share_percent: int
    reason: str


class Seconds(_Part):
    """Durations; None if the event did not happen."""

    apply_to_trained: float | None
    trained_to_promoted: float | None
    bad_offline_to_rolled_back: float | None
    bad_live_to_rolled_back: float | None
    stages: dict[str, float]


class SpeedResult(_Part):
    """The speed of the pool."""

    tokens_per_second: float


class Summary(_Part):
    """The content of the file."""

    quality: Qualities | None
    answers: Answers
    rollouts: tuple[RolloutResult, ...]
    seconds: Seconds
    speed: SpeedResult
    convergence_seconds: dict[str, float]
    peak_memory_mib: dict[str, int] = Field(alias="peakMemoryMiB")
    cold_setup_seconds: float | None

    def to_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def find_violations(summary: Summary) -> list[str]:
    """Return the violated requirements, one sentence each."""
    violations = [*_check_quality(summary.quality), *_check_answers(summary.answers)]
    expected = (PROMOTED, PROMOTED, ROLLED_BACK, ROLLED_BACK)
    if len(summary.rollouts) != len(expected):
        violations.append(f"{len(summary.rollouts)} rollouts ended, but {len(expected)} are required")
    for rollout, outcome in zip(summary.rollouts, expected, strict=False):
        if rollout.outcome != outcome:
            found = f"{rollout.name} is {rollout.outcome} at {rollout.stage} ({rollout.reason})"
            violations.append(f"{found}, but must be {outcome}")
    violations += _check_last_two(summary.rollouts[2:4])
    return violations


def _check_quality(quality: Qualities | None) -> list[str]:
    if quality is None:
        return ["there is no evaluation report of a promoted job, and so no quality"]
    base, tuned = quality.base, quality.tuned
    violations = []
    if tuned.n < MINIMUM_HELD_OUT:
        violations.append(f"only {tuned.n} held-out records were used, but at least {MINIMUM_HELD_OUT} are required")
    if tuned.exact_match < MINIMUM_EXACT_MATCH:
        violations.append(f"tuned exact match is {tuned.exact_match:.3f}, below {MINIMUM_EXACT_MATCH:.2f}")
    if tuned.valid_json < MINIMUM_VALID_JSON:
        violations.append(f"tuned valid JSON is {tuned.valid_json:.3f}, below {MINIMUM_VALID_JSON:.2f}")
    if base.exact_match >= MAXIMUM_BASE_EXACT_MATCH:
        violations.append(f"base exact match is {base.exact_match:.3f}, not below {MAXIMUM_BASE_EXACT_MATCH:.2f}")
    return violations


def _check_answers(answers: Answers) -> list[str]:
    violations = []
    if answers.wrong:
        violations.append(f"{answers.wrong} answers are from a revision that was not allowed to answer then")
    if answers.failed:
        violations.append(f"{answers.failed} requests failed")
    if answers.total < MINIMUM_ANSWERS:
        violations.append(f"there are only {answers.total} answers, but at least {MINIMUM_ANSWERS} are required")
    return violations


def _check_last_two(rollouts: tuple[RolloutResult, ...]) -> list[str]:
    """Check that the third rollout ended before clients got answers of its adapter, and the fourth after."""
    violations = []
    if len(rollouts) > 0 and rollouts[0].candidate_share_percent > 0:
        violations.append(
            f"{rollouts[0].name} answered {rollouts[0].candidate_share_percent} % of clients, but must answer none"
        )
    if len(rollouts) > 1 and rollouts[1].candidate_share_percent == 0:
        violations.append(
            f"{rollouts[1].name} was rolled back before it answered clients, but live evidence must roll it back"
        )
    return violations
