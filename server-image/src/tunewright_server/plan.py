"""The plan in force in a pod."""

from __future__ import annotations

from pathlib import Path

from tunewright_contracts.serving_plan import ServingPlan, SignedPlan
from tunewright_server.auth import OperatorKey
from tunewright_server.kept_document import DocumentKeeper, ForeignDocumentError


class PlanKeeper(DocumentKeeper[ServingPlan]):
    """Keeps the plans of one server and one base model."""

    name = "plan"

    def __init__(self, key: OperatorKey, server_uid: str, base_model_digest: str, stored_path: Path) -> None:
        super().__init__(stored_path)
        self._key = key
        self._server_uid = server_uid
        self._base_model_digest = base_model_digest

    def read(self, text: bytes) -> ServingPlan:
        """Return the plan in a signed text, if it is for this server and its base model."""
        plan = ServingPlan.from_json(self._key.verify(SignedPlan.from_json(text), self.name))
        if plan.server_uid != self._server_uid:
            raise ForeignDocumentError(f"the plan is for ModelServer {plan.server_uid}, but this is {self._server_uid}")
        if plan.base_model_digest != self._base_model_digest:
            raise ForeignDocumentError(
                f"the plan is for base model {plan.base_model_digest}, but this pod serves {self._base_model_digest}"
            )
        return plan
