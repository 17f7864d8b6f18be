"""Where the files of a base model or a dataset come from, and where the operator mounts files in pods."""

from __future__ import annotations

from tunewright_contracts.document import Message, Sha256

RUN_SPEC_PATH = "/etc/tunewright/run.json"
SOURCES_ROOT = "/etc/tunewright/sources"
"""ConfigMap sources are mounted at ``<SOURCES_ROOT>/<source name>/``."""
CA_BUNDLE_PATH = "/etc/tunewright/ca/ca.crt"


class S3Source(Message):
    """An object or a prefix in S3."""

    uri: str


class HuggingFaceSource(Message):
    """A repository on the Hugging Face Hub at a commit."""

    repository: str
    revision: str


class BaseModelSource(Message):
    """Where a base model's files come from: exactly one source, and the digest that inspection recorded."""

    name: str
    s3: S3Source | None = None
    hugging_face: HuggingFaceSource | None = None
    digest: Sha256
    revision: str = ""
    context_length: int
    chat_template: str = ""
    target_modules: tuple[str, ...] = ()
