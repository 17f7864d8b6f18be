"""The plan in force in a pod."""

from __future__ import annotations

from pathlib import Path

from tunewright_contracts.serving_plan import ServingPlan, SignedPlan
from tunewright_server.auth import OperatorKey
from tunewright_server.kept_document import DocumentKeeper, ForeignDocumentError


class PlanKeeper(DocumentKeeper[ServingPlan]):
    """Keeps the plans of one server and one base model."""

    name = "plan"
    kind = ServingPlan
    signed = SignedPlan

    def __init__(self, key: OperatorKey, server_uid: str, base_model_digest: str, stored_path: Path) -> None:
        super().__init__(key, server_uid, stored_path)
        self._base_model_digest = base_model_digest

    def check(self, document: ServingPlan) -> None:
        """Check that a plan is for the base model that this pod serves."""
        if document.base_model_digest != self._base_model_digest:
            raise ForeignDocumentError(
                f"the plan is for base model {document.base_model_digest}, but this pod serves "
                f"{self._base_model_digest}"
            )
