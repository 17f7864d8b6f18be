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


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A raw line: ``number`` counts from 1, ``content`` has no line feed."""

    number: int
    content: bytes


def list_files(sources: tuple[DatasetSource, ...], store: Store, sources_root: Path) -> list[InputFile]:
    """List the files of all sources, in the order of the sources and then by name.

    Raises:
        TrainerError: a source has no file with records.
        StorageError: a bucket cannot be listed.
    """
    files: list[InputFile] = []
    for source in sources:
        if source.s3 is not None:
            files.extend(_list_objects(source, StorageURI.parse(source.s3.uri), store))
        else:
            files.extend(_list_config_map(source, sources_root / source.name))
    return files


def split_lines(data: bytes) -> Iterator[Line]:
    """Yield the lines that are not blank, without a UTF-8 byte order mark at the start of the file."""
    for number, content in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if content.strip():
            yield Line(number, content)


def _list_objects(source: DatasetSource, uri: StorageURI, store: Store) -> Iterator[InputFile]:
    objects = list(store.list(uri))
    if not objects:
        raise TrainerError(
            Reason.DATASET_NOT_FOUND,
            f"source {source.name}: no objects at {uri}; check the URI, or upload the dataset",
        )
    chosen = [item for item in objects if item.uri.key.endswith(SUFFIX)]
    if not chosen:
        raise _no_records_file(source.name, str(uri), [item.uri.key.rpartition("/")[2] for item in objects])
    for item in chosen:
        name = item.uri.key.removeprefix(uri.key).lstrip("/") or item.uri.key.rpartition("/")[2]
        yield InputFile(f"{source.name}/{name}", source.format, item.version, _object_reader(store, item.uri))


def _object_reader(store: Store, uri: StorageURI) -> Callable[[], bytes]:
    return lambda: store.read(uri)


def _list_config_map(source: DatasetSource, folder: Path) -> Iterator[InputFile]:
    # In a mounted ConfigMap, the kubelet adds hidden folders; the keys are links into them.
    paths = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise TrainerError(
            Reason.DATASET_NOT_FOUND, f"source {source.name}: its ConfigMap is empty; add a key that ends in {SUFFIX}"
        )
    chosen = [path for path in paths if path.name.endswith(SUFFIX)]
    if not chosen:
        raise _no_records_file(source.name, "its ConfigMap", [path.name for path in paths])
    for path in chosen:
        version = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        yield InputFile(f"{source.name}/{path.name}", source.format, version, path.read_bytes)


def _no_records_file(source: str, where: str, names: list[str]) -> TrainerError:
    shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
    return TrainerError(
        Reason.DATASET_NOT_FOUND,
        f"source {source}: {where} holds {shown} but no {SUFFIX} file; store one JSON record per line in a file whose "
        f"name ends in {SUFFIX}",
    )
