"""The request to an evaluation Job, and its report."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from tunewright_contracts.content_file import PlainName
from tunewright_contracts.document import Decimal, Document, Message, Sha256
from tunewright_contracts.metrics import MetricSpec, MetricType
from tunewright_contracts.stored_answers import AnswerRecord, KnownAnswers
from tunewright_contracts.values import Address, Count, Name, ShortText, StopTokens, Text, Word

EVALUATION_REQUEST_PATH = "/etc/tunewright/evaluation.json"
TOKEN_PATH = "/etc/tunewright/token/token"  # noqa: S105 - a path
MAX_HELD_OUT_BYTES = 256 << 20
"""The limit for the held-out records, for the prepare phase that writes them and the evaluation that reads them."""


MAX_METRICS = 8
"""The most metrics that a spec can have."""
MAX_ARMS = 32
"""More than candidate, incumbent and base model, so that a later release can compare more."""


class Verdict(StrEnum):
    """What the evidence proves: only Pass continues a rollout automatically, only Fail rolls it back automatically."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


class EvaluationRequest(Document):
    """Compare the answers of candidate, incumbent and base model to the same records, on the real servers.

    Targets are revision names, or `serving_plan.BASE_MODEL_TARGET`. ``server_url`` is the Service's base address.
    """

    namespace: str
    deployment: str
    alias: str
    server_url: str
    candidate: str
    candidate_digest: Sha256
    candidate_stop_token_ids: StopTokens | None = None
    incumbent: str | None = None
    incumbent_digest: Sha256 | None = None
    incumbent_stop_token_ids: StopTokens | None = None
    base_model_digest: Sha256 | None = None
    engine: Sha256 | None = None
    """Identifies the replicas' image and configuration; None if it is unknown: then no answers are reused or stored."""
    known_answers: tuple[KnownAnswers, ...] = ()
    """The stored answers that the status has recorded."""
    dataset_uri: str
    """The held-out split: JSONL of ``{"messages": [...]}`` records whose last message is the reference answer."""
    dataset_digest: Sha256 | None = None
    """The digest that the split must have; None if no digest is known."""
    report_uri: str
    max_samples: int = 400
    max_tokens: int = 256
    concurrency: int = 64
    """The most records that are sent at a time, whatever the replicas admit."""
    metrics: tuple[MetricSpec, ...] = Field(min_length=1)
    confidence: Decimal = "0.95"


class MetricResult(Message):
    """One metric: mean scores in [0, 1] by arm, the verdict and its explanation."""

    type: MetricType
    candidate: float
    incumbent: float | None = None
    base: float | None = None
    samples: Count
    verdict: Verdict
    message: ShortText
    candidate_better: Count | None = None
    candidate_worse: Count | None = None
    records_needed: Count | None = None

    def describe(self) -> str:
        """Return one sentence with every arm's score, the verdict and its explanation."""
        scores = {"candidate": self.candidate, "incumbent": self.incumbent, "base": self.base}
        shown = ", ".join(f"{arm} {score:.3f}" for arm, score in scores.items() if score is not None)
        return f"{self.type} ({shown}): {self.verdict}, {self.message}"


class SampleAnswer(Message):
    """The answers to one record, for readers of the report."""

    record: int
    reference: str
    candidate: str
    incumbent: str | None = None
    base: str | None = None


class ArmAnswers(Message):
    """How an arm got its answers: how many it was asked for, and how many stored ones it reused.

    ``target`` is a revision, or `serving_plan.BASE_MODEL_TARGET`. ``note`` explains why answers were asked for
    again, or why the new ones are not stored. ``stored`` is the file with the new ones.
    """

    target: PlainName
    asked: Count = 0
    reused: Count = 0
    note: ShortText = ""
    stored: AnswerRecord | None = None

    def describe(self) -> str:
        """Return how many answers were asked for and reused, and why not more were reused."""
        counts = f"{self.target}: {self.asked} answers asked for, {self.reused} reused"
        return f"{counts} ({self.note})" if self.note else counts


class EvaluationReport(Document):
    """The file in S3; without ``answers`` it is also the termination message.

    ``engine`` is that of the request. ``arms`` has the arms whose answers are complete.
    """

    max_bytes: ClassVar[int] = 64 << 20

    verdict: Verdict
    reason: Word
    message: Text
    candidate: Name
    incumbent: Name | None = None
    metrics: Annotated[tuple[MetricResult, ...], Field(max_length=MAX_METRICS)] = ()
    samples: Count = 0
    dataset_digest: Sha256 | None = None
    """The digest of the held-out records that were read."""
    seconds: float = 0.0
    report_uri: Address = ""
    engine: Sha256 | None = None
    arms: Annotated[tuple[ArmAnswers, ...], Field(max_length=MAX_ARMS)] = ()
    answers: tuple[SampleAnswer, ...] = ()
