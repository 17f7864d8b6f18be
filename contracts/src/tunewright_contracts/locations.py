"""Where base models and datasets come from, and where pods find their files and the values of the storage Secret."""

from __future__ import annotations

from tunewright_contracts.document import Message, Sha256

RUN_SPEC_PATH = "/etc/tunewright/run.json"
SOURCES_ROOT = "/etc/tunewright/sources"
"""ConfigMap sources are mounted at ``<SOURCES_ROOT>/<source name>/``."""
CA_BUNDLE_PATH = "/etc/tunewright/ca/ca.crt"
STORAGE_SECRET_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL_S3",
    "HF_TOKEN",
    "HF_ENDPOINT",
)
"""The only keys of a storage Secret that become environment variables: with envFrom, it could set LD_PRELOAD."""


class S3Source(Message):
    """An object or a prefix in S3."""

    uri: str


class HuggingFaceSource(Message):
    """A repository on the Hugging Face Hub at a commit."""

    repository: str
    revision: str


class BaseModelSource(Message):
    """Where a base model's files come from: exactly one source, and the digest that inspection recorded.

    ``target_modules`` is the BaseModel's default. ``linear_modules`` has the last part of each linear layer's name; it
    is empty if the inspection did not record them.
    """

    name: str
    s3: S3Source | None = None
    hugging_face: HuggingFaceSource | None = None
    digest: Sha256
    revision: str = ""
    context_length: int
    chat_template: str = ""
    target_modules: tuple[str, ...] = ()
    linear_modules: tuple[str, ...] = ()
