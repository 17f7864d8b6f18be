"""A signed document in force in a pod: of all that it received, by mount or by push, the highest generation."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from tunewright_contracts.document import ContractError, NumberedDocument, SignedDocument
from tunewright_contracts.serving_plan import PlanStatus
from tunewright_server.auth import AuthError, OperatorKey
from tunewright_server.files import Stamp, read_stamp, write_atomically

log = structlog.get_logger(__name__)


Kept = TypeVar("Kept", bound=NumberedDocument)


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """The result of an offered document; ``changed`` if it is now in force and was not before."""

    status: PlanStatus
    message: str = ""
    changed: bool = False
    unsigned: bool = False
    stale: bool = False


class ForeignDocumentError(Exception):
    """A valid document for another server or base model."""


class DocumentKeeper(Generic[Kept]):
    """Keep the document of one server that is in force, also on disk, and judge offers.

    Not thread-safe: call it from one thread at a time.
    """

    name: str
    """The kind of document, in messages."""
    kind: type[Kept]
    signed: type[SignedDocument]
    applies_unstored = False
    """Whether a document that cannot be stored comes into force. Its status then shows that it is not stored, and each
    offer of it tries again."""

    def __init__(self, key: OperatorKey, server_uid: str, stored_path: Path) -> None:
        self._key = key
        self._server_uid = server_uid
        self._stored_path = stored_path
        self._is_stored = True
        self.current: Kept | None = None
        self.current_hash = ""
        self.last = Offer(PlanStatus.NONE, f"no {self.name} has been offered yet")

    @property
    def generation(self) -> int:
        """Return the generation in force, 0 for none."""
        return 0 if self.current is None else self.current.generation

    def restore(self) -> None:
        """Restore the document that was in force before the container restarted, if its signature is still valid."""
        try:
            text = self._stored_path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("document_restore_failed", path=str(self._stored_path), error=str(error))
            return
        offer = self._judge(text, store=False)
        if offer.changed:
            self.last = offer
        else:
            log.warning("document_restore_refused", path=str(self._stored_path), message=offer.message)

    def offer(self, text: bytes) -> Offer:
        """Judge a pushed document, and put it into force if it is signed, for this server and newer."""
        self.last = self._judge(text)
        return self.last

    def offer_mounted(self, text: bytes) -> Offer:
        """Judge the mounted document.

        An older one is ignored: the kubelet may update the file a minute after a push.
        """
        offer = self._judge(text)
        if not offer.stale:
            self.last = offer
        return offer

    def _judge(self, text: bytes, *, store: bool = True) -> Offer:
        try:
            document = self._read(text)
        except AuthError as error:
            return Offer(PlanStatus.REFUSED, str(error), unsigned=True)
        except ContractError as error:
            return Offer(PlanStatus.REFUSED, f"the {self.name} cannot be read: {error}")
        except ForeignDocumentError as error:
            return Offer(PlanStatus.REFUSED, str(error))
        offered_hash = document.content_hash
        if self.current is not None and document.generation <= self.current.generation:
            return self._compare(self.current.generation, document.generation, offered_hash, text)
        # Store it before it is applied: after a restart, the pod must not use an older document than before.
        problem = self._store(text) if store else ""
        if problem and not self.applies_unstored:
            return Offer(PlanStatus.REFUSED, problem)
        self.current, self.current_hash = document, offered_hash
        log.info("document_applied", document=self.name, generation=document.generation, hash=offered_hash)
        return Offer(PlanStatus.REFUSED if problem else PlanStatus.APPLIED, problem, changed=True)

    def _read(self, text: bytes) -> Kept:
        """Return the document in a signed text.

        Raises:
            AuthError: it is not signed by the operator.
            ContractError: it does not match its schema.
            ForeignDocumentError: it is for another pool.
        """
        document = self.kind.from_json(self._key.verify(self.signed.from_json(text), self.name))
        if document.server_uid != self._server_uid:
            raise ForeignDocumentError(
                f"the {self.name} is for ModelServer {document.server_uid}, but this is {self._server_uid}"
            )
        self.check(document)
        return document

    def check(self, document: Kept) -> None:
        """Check what else a document must have in common with this pod.

        Raises:
            ForeignDocumentError: it is for another pool.
        """

    def _compare(self, current: int, offered: int, offered_hash: str, text: bytes) -> Offer:
        if offered < current:
            message = f"generation {offered} is older than generation {current}, which is in force"
            return Offer(PlanStatus.REFUSED, message, stale=True)
        if offered_hash != self.current_hash:
            message = f"generation {current} is in force as {self.current_hash}, but was also offered as {offered_hash}"
            return Offer(PlanStatus.CONFLICT, message + "; write a new generation")
        problem = "" if self._is_stored else self._store(text)
        return Offer(PlanStatus.REFUSED, problem) if problem else Offer(PlanStatus.APPLIED)

    def _store(self, text: bytes) -> str:
        """Store a document; return why that failed, or an empty text."""
        try:
            write_atomically(self._stored_path, text)
        except OSError as error:
            self._is_stored = False
            return f"the {self.name} cannot be stored in {self._stored_path}: {error}"
        self._is_stored = True
        return ""


class MountedDocument:
    """A file in a mounted ConfigMap, which the kubelet replaces atomically."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None

    def read_if_changed(self) -> bytes | None:
        """Return the file's bytes if it changed since the last call, otherwise None; a missing file is not a change."""
        try:
            stamp = read_stamp(self._path)
            if stamp == self._stamp:
                return None
            text = self._path.read_bytes()
        except OSError:
            return None
        self._stamp = stamp
        return text


class DocumentIntake(Generic[Kept]):
    """Takes what the operator pushes and what is mounted to a keeper, and applies what comes into force."""

    def __init__(self, keeper: DocumentKeeper[Kept], mounted: Path, apply: Callable[[Kept], object]) -> None:
        self.keeper = keeper
        self._mounted = MountedDocument(mounted)
        self._apply = apply
        self._offers = asyncio.Lock()

    async def restore(self) -> None:
        """Apply the document that was in force before the container restarted, if there is one."""
        await asyncio.to_thread(self.keeper.restore)
        self._apply_current()

    async def offer(self, text: bytes) -> Offer:
        """Judge a pushed document, and apply it if it came into force."""
        return await self._judge(self.keeper.offer, text)

    async def read_mounted(self) -> None:
        """Judge the mounted document if it changed, and apply it if it came into force."""
        text = self._mounted.read_if_changed()
        if text is not None:
            await self._judge(self.keeper.offer_mounted, text)

    async def _judge(self, judge: Callable[[bytes], Offer], text: bytes) -> Offer:
        async with self._offers:
            offer = await asyncio.to_thread(judge, text)
        if offer.changed:
            self._apply_current()
        return offer

    def _apply_current(self) -> None:
        if self.keeper.current is not None:
            self._apply(self.keeper.current)
