"""The plan in force: of all plans that this pod received, by mount or by push, the one with the highest generation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import structlog

from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import PLAN_KEY, PlanStatus, ServingPlan, SignedPlan
from tunewright_server.auth import AuthError, OperatorKey
from tunewright_server.files import Stamp, read_stamp, write_atomically

log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """The result of an offered plan; ``changed`` if it is now in force and was not before."""

    status: PlanStatus
    message: str = ""
    changed: bool = False
    unsigned: bool = False
    stale: bool = False


class _ForeignPlanError(Exception):
    """A valid plan for another server or base model."""


class PlanKeeper:
    """Keep the plan in force, also on disk, and judge offers. Not thread-safe: call it from one thread at a time."""

    def __init__(self, key: OperatorKey, server_uid: str, base_model_digest: str, stored_path: Path) -> None:
        self._key = key
        self._server_uid = server_uid
        self._base_model_digest = base_model_digest
        self._stored_path = stored_path
        self.plan: ServingPlan | None = None
        self.plan_hash = ""
        self.last = Offer(PlanStatus.NONE, "no plan has been offered yet")

    def restore(self) -> None:
        """Restore the plan that was in force before the container restarted, if its signature is still valid."""
        try:
            text = self._stored_path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("plan_restore_failed", path=str(self._stored_path), error=str(error))
            return
        offer = self._judge(text, store=False)
        if offer.changed:
            self.last = offer
        else:
            log.warning("plan_restore_refused", path=str(self._stored_path), message=offer.message)

    def offer(self, text: bytes) -> Offer:
        """Judge a pushed `SignedPlan`, and put it into force if it is signed, for this server and newer."""
        self.last = self._judge(text)
        return self.last

    def offer_mounted(self, text: bytes) -> Offer:
        """Judge the mounted plan. An older one is ignored: the kubelet may update the file a minute after a push."""
        offer = self._judge(text)
        if not offer.stale:
            self.last = offer
        return offer

    def _judge(self, text: bytes, *, store: bool = True) -> Offer:
        try:
            plan = self._read(text)
        except AuthError as error:
            return Offer(PlanStatus.REFUSED, str(error), unsigned=True)
        except ContractError as error:
            return Offer(PlanStatus.REFUSED, f"the plan cannot be read: {error}")
        except _ForeignPlanError as error:
            return Offer(PlanStatus.REFUSED, str(error))
        plan_hash = plan.content_hash()
        if self.plan is not None and plan.generation <= self.plan.generation:
            return self._compare(self.plan.generation, plan.generation, plan_hash)
        if store:
            # Store it before it is applied: after a restart, the pod must not serve an older plan than before.
            try:
                write_atomically(self._stored_path, text)
            except OSError as error:
                return Offer(PlanStatus.REFUSED, f"the plan cannot be stored in {self._stored_path}: {error}")
        self.plan, self.plan_hash = plan, plan_hash
        log.info("plan_applied", generation=plan.generation, hash=plan_hash, adapters=len(plan.adapters))
        return Offer(PlanStatus.APPLIED, changed=True)

    def _read(self, text: bytes) -> ServingPlan:
        plan = ServingPlan.from_json(self._key.verify_plan(SignedPlan.from_json(text)))
        if plan.server_uid != self._server_uid:
            raise _ForeignPlanError(f"the plan is for ModelServer {plan.server_uid}, but this is {self._server_uid}")
        if plan.base_model_digest != self._base_model_digest:
            raise _ForeignPlanError(
                f"the plan is for base model {plan.base_model_digest}, but this pod serves {self._base_model_digest}"
            )
        return plan

    def _compare(self, current: int, offered: int, offered_hash: str) -> Offer:
        if offered < current:
            message = f"generation {offered} is older than generation {current}, which is in force"
            return Offer(PlanStatus.REFUSED, message, stale=True)
        if offered_hash != self.plan_hash:
            message = f"generation {current} is in force as {self.plan_hash}, but was also offered as {offered_hash}"
            return Offer(PlanStatus.CONFLICT, message + "; write a new generation")
        return Offer(PlanStatus.APPLIED)


class MountedPlan:
    """The plan's file in the mounted ConfigMap, which the kubelet replaces atomically."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / PLAN_KEY
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
