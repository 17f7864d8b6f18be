"""The operator's requests to an inspection Job, which has the bucket credentials that the operator lacks."""

from __future__ import annotations

from tunewright_contracts.document import Document
from tunewright_contracts.locations import HuggingFaceSource, S3Source


class BaseModelInspection(Document):
    """Resolve a base model's revision and digest; the answer is a `phase_result.PhaseResult` with ``base_model``."""

    name: str
    s3: S3Source | None = None
    hugging_face: HuggingFaceSource | None = None


class AdapterInspection(Document):
    """Read an adapter's manifest; the answer is a `phase_result.PhaseResult` with ``adapter``."""

    uri: str
