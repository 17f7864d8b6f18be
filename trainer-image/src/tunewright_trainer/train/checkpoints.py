"""Checkpoints in S3: each pod writes its own, and the next attempt reads the newest.

Layout: ``<run>/checkpoints/<attempt>-<podUID8>/step-NNNNNN/`` contains the files and ``COMPLETE``, which is written
last and lists their digests. Each prefix belongs to one pod, so that a pod on a disconnected node cannot damage the
checkpoints of its replacement. ``COMPLETE`` has a code of the job's key: a checkpoint that another writer stored, or
that belongs to another job, is never loaded. That matters more than a wrong adapter, since torch's files are pickles.
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
from tunewright_contracts.authentication.document_key import DocumentKey, DocumentKind
from tunewright_contracts.document import ContractError, Document, Sha256
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.values import Count
from tunewright_storage.documents import read_sealed, write_sealed
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.store import Store

COMPLETE_NAME = "COMPLETE"
FILE_NAMES = (CONFIG_NAME, WEIGHTS_NAME, "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
"""The files that resuming needs; tokenizer, model card and pickled arguments are created again."""
KEPT = 2
MAX_CHECKPOINT_BYTES = 64 << 30
"""The limit for one checkpoint's download. An adapter of 8 GiB with the optimizer's two float32 moments fits in it."""
_MAX_COMPLETE_BYTES = 1 << 20
_REASONS_TO_SKIP = frozenset({StorageReason.NOT_FOUND, StorageReason.DIGEST_MISMATCH, StorageReason.TOO_LARGE})
_ADDRESS = re.compile(r"(?P<attempt>\d+)-(?P<pod>[^/]+)/step-(?P<step>\d{6,})/COMPLETE$")
log = structlog.get_logger(__name__)


class CompleteMark(Document):
    """The commit mark: ``fingerprint`` is the configuration's, ``files`` maps names to digests."""

    step: Count
    fingerprint: Sha256
    files: dict[str, Sha256]


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on the local disk."""

    step: int
    folder: Path


class CheckpointStore:
    """Store and find the checkpoints of one job.

    Uploads run in the background, one at a time.
    """

    def __init__(
        self, store: Store, run: StorageURI, attempt: int, pod_uid: str, fingerprint: str, *, key: DocumentKey
    ) -> None:
        self._store = store
        self._root = run.join("checkpoints")
        self._attempt = attempt
        self._own = self._root.join(f"{attempt}-{pod_uid.replace('-', '')[:8]}")
        self._fingerprint = fingerprint
        self._key = key
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: concurrent.futures.Future[None] | None = None
        self._saved: list[int] = []
        self._superseded = False

    @property
    def latest_step(self) -> int | None:
        """The step of this process's newest checkpoint that is completely stored."""
        return self._saved[-1] if self._saved else None

    def save(self, step: int, folder: Path, *, last: bool = False) -> bool:
        """Start the upload of a checkpoint and return whether it was started.

        While the upload before it runs, a checkpoint is left out, except the ``last`` one, which waits. So a slow or
        unavailable store costs checkpoints, but does not keep the accelerator waiting.

        Raises:
            StorageError: the upload before this one failed with an error that a retry does not fix.
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
            StorageError: the upload failed.
        """
        self._settle(tolerant=False)

    def find_newest(self, scratch: Path) -> Checkpoint | None:
        """Fetch the newest valid checkpoint of this configuration, from any attempt, or return None.

        A checkpoint that is incomplete, changed, not authentic or of another configuration is skipped with a warning.
        One that cannot be read is an error: starting from the beginning would waste its work.

        Raises:
            StorageError: the store did not answer, or denied access.
        """
        for step, _attempt, uri in sorted(self._list_complete(), reverse=True, key=lambda found: found[:2]):
            problem = self._fetch(uri, step, scratch / f"step-{step:06d}")
            if problem is None:
                log.info("checkpoint_found", step=step, uri=str(uri))
                return Checkpoint(step, scratch / f"step-{step:06d}")
            # Another attempt's checkpoint of the same step may be next, into the same folder: delete this one's files.
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
        """Download and verify a checkpoint; return the problem, or None."""
        try:
            mark = read_sealed(
                self._store,
                uri.join(COMPLETE_NAME),
                CompleteMark,
                _MAX_COMPLETE_BYTES,
                kind=DocumentKind.CHECKPOINT,
                key=self._key,
            )
            if mark.fingerprint != self._fingerprint:
                return "it belongs to another configuration"
            if mark.step != step or not {CONFIG_NAME, WEIGHTS_NAME} <= set(mark.files) <= set(FILE_NAMES):
                return f"{COMPLETE_NAME} has another step or other files than expected"
            budget = MAX_CHECKPOINT_BYTES
            for name, digest in mark.files.items():
                if self._store.download(uri.join(name), folder / name, max_bytes=budget) != digest:
                    return f"the digest of {name} differs from {COMPLETE_NAME}"
                budget -= (folder / name).stat().st_size
        except ContractError as error:
            return f"{COMPLETE_NAME} is not valid: {error}"
        except StorageError as error:
            if error.reason not in _REASONS_TO_SKIP:
                raise
            return str(error)
        return None

    def _upload(self, step: int, folder: Path) -> None:
        uri = self._own.join(f"step-{step:06d}")
        digests = {
            name: self._store.upload(folder / name, uri.join(name)) for name in FILE_NAMES if (folder / name).is_file()
        }
        mark = CompleteMark(step=step, fingerprint=self._fingerprint, files=digests)
        kind = DocumentKind.CHECKPOINT
        write_sealed(self._store, uri.join(COMPLETE_NAME), mark, _MAX_COMPLETE_BYTES, kind=kind, key=self._key)
        self._saved.append(step)
        log.info("checkpoint_stored", step=step, uri=str(uri))
        for old in self._saved[:-KEPT]:
            self._delete(self._own.join(f"step-{old:06d}"))
        del self._saved[:-KEPT]
        if len(self._saved) == KEPT and not self._superseded:
            # This attempt has enough checkpoints: delete those of earlier attempts, which are older. Those of a later
            # attempt stay: this pod may be the disconnected one.
            self._superseded = True
            for _step, attempt, found in list(self._list_complete()):
                if attempt < self._attempt:
                    self._delete(found)

    def _delete(self, uri: StorageURI) -> None:
        try:
            # The mark first: a partly deleted checkpoint must not look complete.
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
    """Delete a checkpoint on the local disk."""
    shutil.rmtree(folder, ignore_errors=True)
