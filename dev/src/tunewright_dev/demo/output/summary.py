"""`build/demo/summary.json`: what happened, measured, and what must hold of it.

Where a figure is from:

- quality: the evaluation report of the last promoted job, whose held-out set was asked of the real servers; base and
  tuned answered the same records.
- answers: the log of the client pod, judged by the ledger of plans.
- rollouts: the AdapterDeployment's history. The share is the largest weight that a plan gave the candidate.
- seconds: applyToTrained and trainedToPromoted are those of the last promoted job, from when it was applied and when it
  ended. badOfflineToRolledBack is from when the candidate was accepted to its end, badLiveToRolledBack from the first
  plan that gave it clients to the plan that took them away. stages: how long each stage of the story took after set-up,
  in their order.
- speed: tokens per second of the pool before the story began, with as many requests at a time as the canaries have.
- convergenceSeconds: the longest time from seeing a plan written to seeing the pod report it.
- peakMemoryMiB: the largest working set that the kubelet reported, asked every 15 s (`feed.POLL_SECONDS`).
- coldSetupSeconds: on a bare machine, from the start of our program to an installed chart; the making of .venv before
  it (dev/bootstrap) is left out. Null when this machine was never seen bare.
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
    """Before and after."""

    base: Quality
    tuned: Quality


class Answers(_Part):
    """What clients got; ``wrong``: from a revision that was not allowed to answer then, ``failed``:
    other than a 2xx.
    """

    total: int
    wrong: int
    failed: int
    by_revision: dict[str, int]


class RolloutResult(_Part):
    """How one job's adapter fared; ``name`` is the job's."""

    name: str
    outcome: str
    stage: str
    candidate_share_percent: int
    reason: str


class Seconds(_Part):
    """How long things took; None where they did not happen."""

    apply_to_trained: float | None
    trained_to_promoted: float | None
    bad_offline_to_rolled_back: float | None
    bad_live_to_rolled_back: float | None
    stages: dict[str, float]


class SpeedResult(_Part):
    """How fast the pool answers."""

    tokens_per_second: float


class Summary(_Part):
    """The whole file."""

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
    """Return what must hold of a demo and does not, one sentence each."""
    violations = [*_check_quality(summary.quality), *_check_answers(summary.answers)]
    expected = (PROMOTED, PROMOTED, ROLLED_BACK, ROLLED_BACK)
    if len(summary.rollouts) != len(expected):
        violations.append(f"{len(summary.rollouts)} rollouts ended, {len(expected)} were to")
    for rollout, outcome in zip(summary.rollouts, expected, strict=False):
        if rollout.outcome != outcome:
            said = f"{rollout.name} was {rollout.outcome} at {rollout.stage} ({rollout.reason})"
            violations.append(f"{said}; it should have been {outcome}")
    violations += _check_last_two(summary.rollouts[2:4])
    return violations


def _check_quality(quality: Qualities | None) -> list[str]:
    if quality is None:
        return ["no evaluation report of a promoted job was read, so there is no quality"]
    base, tuned = quality.base, quality.tuned
    violations = []
    if tuned.n < MINIMUM_HELD_OUT:
        violations.append(f"only {tuned.n} held-out records were asked, at least {MINIMUM_HELD_OUT} are wanted")
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
        violations.append(f"{answers.wrong} answers came from a revision that was not allowed to answer then")
    if answers.failed:
        violations.append(f"{answers.failed} requests failed")
    if answers.total < MINIMUM_ANSWERS:
        violations.append(f"only {answers.total} answers were seen, at least {MINIMUM_ANSWERS} are wanted")
    return violations


def _check_last_two(rollouts: tuple[RolloutResult, ...]) -> list[str]:
    """The third is to be refused before a client saw it, the fourth by what clients saw."""
    violations = []
    if len(rollouts) > 0 and rollouts[0].candidate_share_percent > 0:
        violations.append(
            f"{rollouts[0].name} got {rollouts[0].candidate_share_percent} % of clients; it should have got none"
        )
    if len(rollouts) > 1 and rollouts[1].candidate_share_percent == 0:
        violations.append(
            f"{rollouts[1].name} was stopped before a client saw it; live evidence should have stopped it"
        )
    return violations
