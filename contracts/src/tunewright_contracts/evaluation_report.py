"""The request to an evaluation Job, and its report."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from tunewright_contracts.document import Decimal, Document, Message, Sha256
from tunewright_contracts.metrics import MetricSpec, MetricType

EVALUATION_REQUEST_PATH = "/etc/tunewright/evaluation.json"
TOKEN_PATH = "/etc/tunewright/token/token"  # noqa: S105 - a path
MAX_HELD_OUT_BYTES = 256 << 20
"""The limit for the held-out records, for the prepare phase that writes them and the evaluation that reads them."""


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
    incumbent: str | None = None
    dataset_uri: str
    """The held-out split: JSONL of ``{"messages": [...]}`` records whose last message is the reference answer."""
    report_uri: str
    max_samples: int = 400
    max_tokens: int = 256
    concurrency: int = 16
    """How many records are sent to an arm at a time.

    These are enough for vLLM to batch them on a few replicas (on two CPU cores, an adapter generates 11 tokens/s for
    one request and 63 for eight), and few compared with what a replica serves at a time.
    """
    metrics: tuple[MetricSpec, ...] = Field(min_length=1)
    confidence: Decimal = "0.95"


class MetricResult(Message):
    """One metric: mean scores in [0, 1] by arm, the verdict and its explanation."""

    type: MetricType
    candidate: float
    incumbent: float | None = None
    base: float | None = None
    samples: int
    verdict: Verdict
    message: str
    candidate_better: int | None = None
    candidate_worse: int | None = None
    records_needed: int | None = None

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


class EvaluationReport(Document):
    """The file in S3; without ``answers`` it is also the termination message."""

    verdict: Verdict
    reason: str
    message: str
    candidate: str
    incumbent: str | None = None
    metrics: tuple[MetricResult, ...] = ()
    samples: int = 0
    seconds: float = 0.0
    report_uri: str = ""
    answers: tuple[SampleAnswer, ...] = ()
