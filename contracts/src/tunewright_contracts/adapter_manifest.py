"""`manifest.json`: the commit mark of an adapter in S3, with all that a reader needs before it loads the adapter.

Layout: ``<output.uri>/sha256-<digest>/`` contains the files named here; the manifest is written last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunewright_contracts.content_file import ContentFile, only_files
from tunewright_contracts.document import Document, Message, Sha256
from tunewright_contracts.values import Address, Count, MetricName, Name, Rank, StopTokens, Time

MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
"""The limit for an adapter's manifest, for its writer and its readers."""
WEIGHTS_NAME = "adapter_model.safetensors"
CONFIG_NAME = "adapter_config.json"
MODEL_CARD_NAME = "README.md"
CONTENT_NAMES = frozenset(
    {
        WEIGHTS_NAME,
        CONFIG_NAME,
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
    }
)
"""The file names that an adapter's content may have; all others (a pickle, a script) are rejected."""


MAX_SCORES = 64
MAX_PACKAGES = 64


class BaseModelIdentity(Message):
    """The weights that an adapter belongs to."""

    name: Name
    repository: Name = ""
    revision: Name = ""
    digest: Sha256


class JobReference(Message):
    """A reference to a FineTuneJob."""

    namespace: Name
    name: Name
    uid: Name


class Score(Message):
    """One metric on the held-out split, in [0, 1] (loss: any), with the adapter off (``base``) and on (``tuned``)."""

    type: MetricName
    base: float | None = None
    tuned: float
    samples: Count


class AdapterManifest(Document):
    """The description of an adapter: content, base model, data, training configuration, scores and origin."""

    max_bytes: ClassVar[int] = MAX_MANIFEST_BYTES

    digest: Sha256
    files: Annotated[tuple[ContentFile, ...], Field(max_length=len(CONTENT_NAMES)), only_files(CONTENT_NAMES)]
    base_model: BaseModelIdentity
    rank: Rank
    dataset_digest: Sha256
    evaluation_dataset_uri: Address
    evaluation_dataset_digest: Sha256 | None = None
    training: dict[str, Any]
    packages: Annotated[dict[Name, Name], Field(max_length=MAX_PACKAGES)]
    scores: Annotated[tuple[Score, ...], Field(max_length=MAX_SCORES)] = ()
    stop_token_ids: StopTokens | None = None
    job: JobReference | None = None
    parent_digest: Sha256 | None = None
    created_at: Time

    @property
    def content_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size for file in self.files)


def compute_adapter_digest(files: Mapping[str, str]) -> str:
    r"""Return the content digest: SHA-256 over the lines ``<path>\0<sha256>\n`` sorted by path.

    Args:
        files: path → ``sha256:<hex>`` of each content file (manifest and model card contain times and do not count).
    """
    hasher = hashlib.sha256()
    for path in sorted(files):
        hasher.update(f"{path}\0{files[path]}\n".encode())
    return f"sha256:{hasher.hexdigest()}"


def adapter_folder(digest: str) -> str:
    """Return the folder name of a digest: ``sha256-<hex>``, because colons cause problems in keys and paths."""
    return digest.replace(":", "-", 1)


REVISION_DIGITS = 20
"""How many digits of an adapter's digest are in its name: 80 bits, so that no other adapter can be made to have it."""
OLD_REVISION_DIGITS = 12
"""The same in releases before; an adapter that such a release accepted keeps its name."""


def revision_name(model_name: str, digest: str) -> str:
    """Return the name under which vLLM loads an adapter: ``<modelName>--<first 20 hexadecimal digits>``."""
    return f"{model_name}--{digest.removeprefix('sha256:')[:REVISION_DIGITS]}"


def is_name_of(revision: str, digest: str) -> bool:
    """Return whether a revision's name ends with the first digits of a digest, as many as `revision_name` gives it."""
    alias, _, digits = revision.rpartition("--")
    expected = digest.removeprefix("sha256:")[: len(digits)]
    return bool(alias) and len(digits) in (OLD_REVISION_DIGITS, REVISION_DIGITS) and digits == expected
