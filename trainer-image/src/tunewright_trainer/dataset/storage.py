"""Prepared data in S3: three JSONL files and a manifest, in a folder that is named after the digest of the inputs.

Others can write to the bucket. So `prepare` trusts nothing that it finds there, and reports the digest of the manifest,
which the FineTuneJob's status records; `train` accepts only the manifest with that digest, and files as it lists them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from tunewright_contracts.adapter_manifest import adapter_folder, compute_adapter_digest
from tunewright_contracts.content_file import ContentFile, only_files
from tunewright_contracts.document import ContractError, Document, Sha256
from tunewright_contracts.evaluation_report import MAX_HELD_OUT_BYTES
from tunewright_contracts.phase_result import DatasetSummary
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.documents import write_document
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store, digest_bytes, digest_file
from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.dataset.record import InputFile, Record, Split
from tunewright_trainer.errors import Reason, TrainerError

PREPARER_VERSION = 4
"""Increase it when a change of the code writes different files for the same inputs."""
MANIFEST_NAME = "manifest.json"
_MAX_MANIFEST_BYTES = 16 << 20
_MAX_INPUT_BYTES = _MAX_MANIFEST_BYTES - (64 << 10)
"""The names and versions of the input files: the rest of the manifest fits in 64 KiB."""


MAX_DATASET_BYTES = 40 << 30
"""The limit for prepared data that a job downloads: `prepare` cannot write more, because its disk has 50 GiB."""


def split_name(split: Split) -> str:
    """Return a split's file name."""
    return f"{split}.jsonl"


SPLIT_NAMES = frozenset(split_name(split) for split in Split)


class DatasetManifest(Document):
    """The commit mark of prepared data; ``inputs`` maps each input file to its version."""

    max_bytes: ClassVar[int] = _MAX_MANIFEST_BYTES

    summary: DatasetSummary
    files: Annotated[tuple[ContentFile, ...], only_files(SPLIT_NAMES)]
    inputs: dict[str, str]
    inputs_digest: Sha256
    preparer_version: int = PREPARER_VERSION


@dataclasses.dataclass(frozen=True, slots=True)
class StoredDataset:
    """A manifest, and the digest of its bytes in the bucket."""

    manifest: DatasetManifest
    manifest_digest: str

    def summarise(self) -> DatasetSummary:
        """Return the summary with the digests that are not in the manifest itself."""
        held_out = split_name(Split.EVALUATION)
        digest = next(file.sha256 for file in self.manifest.files if file.path == held_out)
        return self.manifest.summary.updated(manifest_digest=self.manifest_digest, evaluation_digest=digest)


def digest_inputs(spec: RunSpec, files: Iterable[InputFile]) -> str:
    """Return the digest of everything that affects the prepared data: files, rules, tokenizer, limits, version."""
    content = {
        "preparer": PREPARER_VERSION,
        "files": [[file.label, file.format, file.version] for file in files],
        "dataset": {**spec.dataset.to_wire(), "sources": []},
        "baseModel": spec.base_model.digest,
        "chatTemplate": spec.base_model.chat_template,
        "contextLength": spec.base_model.context_length,
        "maxSequenceLength": spec.training.max_sequence_length,
    }
    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def list_inputs(files: Iterable[InputFile]) -> dict[str, str]:
    """Return the version of each input file by name, as the manifest has them.

    Raises:
        StorageError: there are more than a manifest can list. This is found before the first file is read.
    """
    inputs = {file.label: file.version for file in files}
    size = len(json.dumps(inputs, ensure_ascii=False).encode(errors="replace"))
    if size > _MAX_INPUT_BYTES:
        raise StorageError(
            StorageReason.TOO_LARGE,
            f"spec.dataset.sources has {len(inputs)} files, whose names and versions take {size} bytes in the "
            f"dataset's manifest; at most {_MAX_INPUT_BYTES} are read. Join the records into fewer files",
        )
    return inputs


def dataset_uri(output: StorageURI, inputs_digest: str) -> StorageURI:
    """Return the folder for data that is prepared from these inputs."""
    return output.join("datasets", adapter_folder(inputs_digest))


def write_dataset(
    store: Store, uri: StorageURI, scratch: Path, splits: dict[Split, list[Record]], manifest: DatasetManifest
) -> StoredDataset:
    """Store the splits and then the manifest, unless equal data is stored.

    The data of a folder is the same for all jobs with the same inputs. Texts for users in an existing manifest are of
    the job that wrote it, and are not returned.

    Args:
        store: where to store the files.
        uri: the folder, from `dataset_uri`.
        scratch: a local folder for the files.
        splits: the records.
        manifest: complete except for ``files`` and the summary's content digest.

    Raises:
        StorageError: a write failed.
        TrainerError: the folder already contains different data for the same inputs.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    files: list[ContentFile] = []
    for split, records in splits.items():
        path = scratch / split_name(split)
        with path.open("w", encoding="utf-8", newline="\n") as output:
            output.writelines(format_record(record.conversation) + "\n" for record in records)
        files.append(ContentFile(path=path.name, sha256=digest_file(path), size=path.stat().st_size))
    _check_sizes(files)
    digest = compute_adapter_digest({file.path: file.sha256 for file in files})
    manifest = manifest.updated(files=tuple(files), summary=manifest.summary.updated(digest=digest))
    for file in files:
        store.upload(scratch / file.path, uri.join(file.path))
    if write_document(store, uri.join(MANIFEST_NAME), manifest, _MAX_MANIFEST_BYTES, if_absent=True):
        return StoredDataset(manifest, digest_bytes(manifest.to_json().encode()))
    existing = find_manifest(store, uri)
    if existing is None or not _is_same_data(existing.manifest, manifest):
        raise TrainerError(
            Reason.DATASET_CHANGED,
            f"{uri} already contains different data for the same inputs; delete this folder and run the job again",
        )
    return dataclasses.replace(existing, manifest=manifest)


def _is_same_data(existing: DatasetManifest, written: DatasetManifest) -> bool:
    """Return whether training on both is the same."""
    return existing.files == written.files and _without_texts(existing.summary) == _without_texts(written.summary)


def _without_texts(summary: DatasetSummary) -> DatasetSummary:
    return summary.updated(first_problems=(), problems_uri="", ignored_keys={}, notes=())


def _check_sizes(files: Sequence[ContentFile]) -> None:
    """Check that every reader accepts the files: training reads them all, an evaluation the held-out records.

    Raises:
        StorageError: there is too much of them.
    """
    total = sum(file.size for file in files)
    if total > MAX_DATASET_BYTES:
        raise StorageError(
            StorageReason.TOO_LARGE,
            f"the prepared records have {total} bytes, and training reads at most {MAX_DATASET_BYTES}; "
            "use fewer records",
        )
    for file in files:
        if file.path == split_name(Split.EVALUATION) and file.size > MAX_HELD_OUT_BYTES:
            raise StorageError(
                StorageReason.TOO_LARGE,
                f"the held-out records have {file.size} bytes, and an evaluation reads at most {MAX_HELD_OUT_BYTES}; "
                "lower spec.dataset.split.evaluationPercent",
            )


def find_manifest(store: Store, uri: StorageURI) -> StoredDataset | None:
    """Return the manifest of complete prepared data, or None when there is none yet.

    Raises:
        StorageError: the manifest could not be read.
        TrainerError: the manifest is invalid, or a file that it lists is missing or has another size.
    """
    try:
        text = store.read(uri.join(MANIFEST_NAME), _MAX_MANIFEST_BYTES)
    except StorageError as error:
        if error.reason is StorageReason.NOT_FOUND:
            return None
        raise
    try:
        manifest = DatasetManifest.from_json(text)
    except ContractError as error:
        raise _changed(uri, f"its {MANIFEST_NAME} is invalid ({error})") from error
    missing = sorted(SPLIT_NAMES - {file.path for file in manifest.files})
    if missing:
        raise _changed(uri, f"its {MANIFEST_NAME} does not list {', '.join(missing)}")
    sizes = {item.uri: item.size for item in store.list(uri)}
    for file in manifest.files:
        if sizes.get(uri.join(file.path)) != file.size:
            raise _changed(uri, f"{file.path} is missing, or its size differs from the manifest")
    return StoredDataset(manifest, digest_bytes(text))


def fetch_dataset(
    store: Store, uri: StorageURI, folder: Path, expected_digest: str | None, manifest_digest: str | None = None
) -> StoredDataset:
    """Fetch the splits into a folder and verify every byte.

    Args:
        store: contains the data.
        uri: its folder in the store.
        folder: gets the files.
        expected_digest: the digest of the records, as `prepare` reported it; None if the run specification is of an
            earlier release.
        manifest_digest: the digest of the manifest's bytes; None if an earlier release prepared the data.

    Raises:
        StorageError: a file cannot be read.
        TrainerError: there is no prepared data, it is not the expected one, or it does not match its manifest.
    """
    found = find_manifest(store, uri)
    if found is None:
        raise TrainerError(
            Reason.DATASET_CHANGED, f"{uri} no longer contains prepared data; run the job again to prepare it"
        )
    if manifest_digest is not None and found.manifest_digest != manifest_digest:
        raise _changed(uri, f"its {MANIFEST_NAME} has the digest {found.manifest_digest} instead of {manifest_digest}")
    manifest = found.manifest
    digest = compute_adapter_digest({file.path: file.sha256 for file in manifest.files})
    if expected_digest is not None and digest != expected_digest:
        raise _changed(uri, f"its records have the digest {digest} instead of {expected_digest}")
    size = sum(file.size for file in manifest.files)
    if size > MAX_DATASET_BYTES:
        raise _changed(uri, f"its manifest states {size} bytes, more than the limit of {MAX_DATASET_BYTES}")
    for file in manifest.files:
        if store.download(uri.join(file.path), folder / file.path, max_bytes=file.size) != file.sha256:
            raise _changed(uri, f"the digest of {file.path} differs from the manifest")
    return found


def format_record(conversation: Conversation) -> str:
    """Return the JSON line of a conversation."""
    messages = [
        {"role": message.role, "content": message.content, **({} if message.learned else {"weight": 0})}
        for message in conversation
    ]
    return json.dumps({"messages": messages}, ensure_ascii=False, separators=(",", ":"))


def read_split(folder: Path, split: Split) -> list[Conversation]:
    """Return the conversations of a fetched split."""
    with (folder / split_name(split)).open(encoding="utf-8", newline="\n") as lines:
        return [_parse_line(line) for line in lines]


def _parse_line(line: str) -> Conversation:
    return tuple(
        ChatMessage(item["role"], item["content"], learned=item.get("weight", 1) != 0)
        for item in json.loads(line)["messages"]
    )


def _changed(uri: StorageURI, what: str) -> TrainerError:
    return TrainerError(
        Reason.DATASET_CHANGED,
        f"prepared data at {uri} was changed: {what}; delete this folder and run the job again to prepare it again",
    )
