"""Checkpoints in S3: written by one pod under its own prefix, read by whichever attempt comes next.

Layout: ``<run>/checkpoints/<attempt>-<podUID8>/step-NNNNNN/`` with the files and then ``COMPLETE``, which lists their
digests. A prefix belongs to one pod, so that a pod on a cut-off node cannot spoil its replacement's.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import structlog

from tunewright_contracts.adapter_manifest import CONFIG_NAME, WEIGHTS_NAME
from tunewright_contracts.document import ContractError, Document, Sha256
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store

COMPLETE_NAME = "COMPLETE"
FILE_NAMES = (CONFIG_NAME, WEIGHTS_NAME, "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
"""What resuming needs; tokenizer, model card and pickled arguments are made anew."""
KEPT = 2
_MAX_COMPLETE_BYTES = 1 << 20
_ADDRESS = re.compile(r"(?P<attempt>\d+)-(?P<pod>[^/]+)/step-(?P<step>\d{6,})/COMPLETE$")
log = structlog.get_logger(__name__)


class CompleteMark(Document):
    """The commit mark: ``fingerprint`` is that of the configuration, ``files`` maps names to digests."""

    step: int
    fingerprint: Sha256
    files: dict[str, Sha256]


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on the local disk."""

    step: int
    folder: Path


class CheckpointStore:
    """Store and find the checkpoints of one job.

    Uploads run beside training, one at a time; `finish` and the next `save` wait for the one before.
    """

    def __init__(self, store: Store, run: StorageURI, attempt: int, pod_uid: str, fingerprint: str) -> None:
        self._store = store
        self._root = run.join("checkpoints")
        self._attempt = attempt
        self._own = self._root.join(f"{attempt}-{pod_uid.replace('-', '')[:8]}")
        self._fingerprint = fingerprint
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: concurrent.futures.Future[None] | None = None
        self._saved: list[int] = []
        self._superseded = False

    @property
    def latest_step(self) -> int | None:
        """The newest step of this process that is safely stored."""
        return self._saved[-1] if self._saved else None

    def save(self, step: int, folder: Path, *, last: bool = False) -> bool:
        """Store a checkpoint in the background and return whether it was taken.

        While the one before it is still on its way, only the ``last`` one waits and any other is left out: a store that
        is slow or away costs checkpoints, and never keeps the accelerator waiting.

        Raises:
            StorageError: the checkpoint before this one was refused for good.
        """
        if self._pending is not None and not self._pending.done() and not last:
            log.warning("checkpoint_left_out", step=step)
            return False
        self._settle(tolerant=True)
        self._pending = self._pool.submit(self._upload, step, folder)
        return True

    def finish(self) -> None:
        """Wait for the running upload.

        Raises:
            StorageError: it could not be stored.
        """
        self._settle(tolerant=False)

    def find_newest(self, scratch: Path) -> Checkpoint | None:
        """Fetch the newest valid checkpoint of any attempt that has this configuration, or None.

        One that is incomplete, was changed or belongs to another configuration is passed over with a warning. One that
        may not be read is not: beginning anew would throw its work away.

        Raises:
            StorageError: the store did not answer, or refused.
        """
        for step, _attempt, uri in sorted(self._list_complete(), reverse=True, key=lambda found: found[:2]):
            problem = self._fetch(uri, step, scratch / f"step-{step:06d}")
            if problem is None:
                log.info("checkpoint_found", step=step, uri=str(uri))
                return Checkpoint(step, scratch / f"step-{step:06d}")
            # Another attempt's of the same step may follow, into the same folder: no file may be left of this one.
            delete_local(scratch / f"step-{step:06d}")
            log.warning("checkpoint_skipped", uri=str(uri), problem=problem)
        return None

    def _list_complete(self) -> Iterator[tuple[int, int, StorageURI]]:
        """Yield (step, attempt, folder) of every checkpoint with a commit mark."""
        for item in self._store.list(self._root):
            match = _ADDRESS.search(item.uri.key)
            if match:
                folder = StorageURI(item.uri.bucket, item.uri.key.removesuffix(f"/{COMPLETE_NAME}"))
                yield int(match["step"]), int(match["attempt"]), folder

    def _fetch(self, uri: StorageURI, step: int, folder: Path) -> str | None:
        """Download and verify a checkpoint; return what is wrong with it, or None."""
        try:
            mark = CompleteMark.from_json(self._store.read(uri.join(COMPLETE_NAME), _MAX_COMPLETE_BYTES))
            if mark.fingerprint != self._fingerprint:
                return "it belongs to another configuration"
            if mark.step != step or not {CONFIG_NAME, WEIGHTS_NAME} <= set(mark.files) <= set(FILE_NAMES):
                return f"{COMPLETE_NAME} contradicts itself"
            for name, digest in mark.files.items():
                if self._store.download(uri.join(name), folder / name) != digest:
                    return f"{name} has another digest"
        except ContractError as error:
            return str(error)
        except StorageError as error:
            if error.reason is not StorageReason.NOT_FOUND:
                raise
            return str(error)
        return None

    def _upload(self, step: int, folder: Path) -> None:
        uri = self._own.join(f"step-{step:06d}")
        digests = {
            name: self._store.upload(folder / name, uri.join(name)) for name in FILE_NAMES if (folder / name).is_file()
        }
        mark = CompleteMark(step=step, fingerprint=self._fingerprint, files=digests)
        self._store.write(uri.join(COMPLETE_NAME), mark.to_json().encode())
        self._saved.append(step)
        log.info("checkpoint_stored", step=step, uri=str(uri))
        for old in self._saved[:-KEPT]:
            self._delete(self._own.join(f"step-{old:06d}"))
        del self._saved[:-KEPT]
        if len(self._saved) == KEPT and not self._superseded:
            # Enough of our own: what earlier attempts left is older. A later attempt's is never touched, though this
            # pod may be the one that was cut off.
            self._superseded = True
            for _step, attempt, found in list(self._list_complete()):
                if attempt < self._attempt:
                    self._delete(found)

    def _delete(self, uri: StorageURI) -> None:
        try:
            # The mark goes first: a half-deleted checkpoint must not look whole.
            self._store.delete_prefix(uri.join(COMPLETE_NAME))
            self._store.delete_prefix(uri)
        except StorageError as error:
            log.warning("old_checkpoint_not_deleted", uri=str(uri), error=str(error))

    def _settle(self, *, tolerant: bool) -> None:
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            pending.result()
        except StorageError as error:
            if not (tolerant and error.retryable):
                raise
            log.warning("checkpoint_not_stored", error=str(error))


def delete_local(folder: Path) -> None:
    """Free the disk of a checkpoint that is no longer needed."""
    shutil.rmtree(folder, ignore_errors=True)
