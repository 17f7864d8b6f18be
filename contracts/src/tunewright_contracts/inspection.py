"""What the operator asks an inspection Job: it holds the bucket credentials that the operator does not have."""

from __future__ import annotations

from tunewright_contracts.document import Document, Sha256
from tunewright_contracts.locations import HuggingFaceSource, S3Source


class BaseModelInspection(Document):
    """Resolve a base model's revision and digest. Answer: `run_spec.PhaseResult` with ``base_model``."""

    name: str
    s3: S3Source | None = None
    hugging_face: HuggingFaceSource | None = None


class AdapterInspection(Document):
    """Read an adapter's manifest. Answer: `run_spec.PhaseResult` with ``adapter``."""

    uri: str
    expected_digest: Sha256 | None = None
