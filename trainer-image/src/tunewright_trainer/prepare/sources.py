"""List a job's input files: keys of a mounted ConfigMap, an S3 object, or all objects below an S3 prefix."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tunewright_contracts.run_spec import DatasetSource
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.store import Store
from tunewright_trainer.dataset.record import InputFile
from tunewright_trainer.errors import Reason, TrainerError

SUFFIX = ".jsonl"
"""The end of a name of a file with records, in lower or upper case."""
_SHOWN_NAMES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A raw line: ``number`` counts from 1, ``content`` has no line feed."""

    number: int
    content: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ListedFiles:
    """The files with records, in the order of the sources and then by name; ``notes`` name the files left out."""

    files: tuple[InputFile, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _SourceFiles:
    """One source's files with records, and the names of its other files."""

    chosen: list[InputFile]
    others: list[str]


def check_overlap(sources: tuple[DatasetSource, ...], output: StorageURI) -> None:
    """Check that no source is the output folder, or above or below it.

    Raises:
        TrainerError: one is: the job would train on what jobs wrote there.
        StorageURIError: a source has no valid address.
    """
    for source in sources:
        if source.s3 is not None and StorageURI.parse(source.s3.uri).overlaps(output):
            raise TrainerError(
                Reason.SOURCE_OVERLAPS_OUTPUT,
                f"source {source.name}: {source.s3.uri} overlaps output.uri {output}; keep the dataset and the output "
                "in folders that do not contain each other",
            )


def list_files(sources: tuple[DatasetSource, ...], store: Store, sources_root: Path) -> ListedFiles:
    """List the files of all sources.

    Raises:
        TrainerError: a source has no file with records.
        StorageError: a bucket cannot be listed.
    """
    files: list[InputFile] = []
    notes: list[str] = []
    for source in sources:
        if source.s3 is not None:
            listed = _list_objects(source, StorageURI.parse(source.s3.uri), store)
        else:
            listed = _list_config_map(source, sources_root / source.name)
        files.extend(listed.chosen)
        if listed.others:
            notes.append(_describe_others(source.name, listed.others))
    return ListedFiles(tuple(files), tuple(notes))


def split_lines(data: bytes) -> Iterator[Line]:
    """Yield the lines that are not blank, without a UTF-8 byte order mark at the start of the file."""
    for number, content in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if content.strip():
            yield Line(number, content)


def _list_objects(source: DatasetSource, uri: StorageURI, store: Store) -> _SourceFiles:
    objects = list(store.list(uri))
    if not objects:
        raise TrainerError(
            Reason.DATASET_NOT_FOUND,
            f"source {source.name}: no objects at {uri}; check the URI, or upload the dataset",
        )
    chosen: list[InputFile] = []
    others: list[str] = []
    for item in objects:
        name = item.uri.key.removeprefix(uri.key).lstrip("/") or item.uri.key.rpartition("/")[2]
        if _has_records(name):
            reader = _object_reader(store, item.uri)
            chosen.append(InputFile(f"{source.name}/{name}", source.format, item.version, reader))
        else:
            others.append(name)
    if not chosen:
        raise _no_records_file(source.name, str(uri), others)
    return _SourceFiles(chosen, others)


def _object_reader(store: Store, uri: StorageURI) -> Callable[[], bytes]:
    return lambda: store.read(uri)


def _list_config_map(source: DatasetSource, folder: Path) -> _SourceFiles:
    # In a mounted ConfigMap, the kubelet adds folders that begin with two dots, which no key can; the keys are links
    # into them.
    paths = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith(".."))
    if not paths:
        raise TrainerError(
            Reason.DATASET_NOT_FOUND, f"source {source.name}: its ConfigMap is empty; add a key that ends in {SUFFIX}"
        )
    chosen: list[InputFile] = []
    others: list[str] = []
    for path in paths:
        if _has_records(path.name):
            version = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            chosen.append(InputFile(f"{source.name}/{path.name}", source.format, version, path.read_bytes))
        else:
            others.append(path.name)
    if not chosen:
        raise _no_records_file(source.name, "its ConfigMap", others)
    return _SourceFiles(chosen, others)


def _has_records(name: str) -> bool:
    return name.lower().endswith(SUFFIX)


def _describe_others(source: str, names: list[str]) -> str:
    many = len(names) > 1
    verb, end = ("files were", "their names do") if many else ("file was", "its name does")
    return f"Source {source}: {len(names)} {verb} not read, because {end} not end in {SUFFIX}: {_show_names(names)}."


def _show_names(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")


def _no_records_file(source: str, where: str, names: list[str]) -> TrainerError:
    return TrainerError(
        Reason.DATASET_NOT_FOUND,
        f"source {source}: {where} holds {_show_names(names)} but no {SUFFIX} file; store one JSON record per line in "
        f"a file whose name ends in {SUFFIX}",
    )
