"""What the operator asks an inspection Job: it holds the bucket credentials that the operator does not have."""

from __future__ import annotations

from tunewright_contracts.document import Document
from tunewright_contracts.locations import HuggingFaceSource, S3Source


class BaseModelInspection(Document):
    """Resolve a base model's revision and digest. Answer: `phase_result.PhaseResult` with ``base_model``."""

    name: str
    s3: S3Source | None = None
    hugging_face: HuggingFaceSource | None = None


class AdapterInspection(Document):
    """Read an adapter's manifest. Answer: `phase_result.PhaseResult` with ``adapter``."""

    uri: str
