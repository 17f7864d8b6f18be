"""Find the documented reason for the text of a condition's reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunewright_contracts.reasons import Reason
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    Kind,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason
from tunewright_operator.domain.reasons.base_model import BaseModelReason
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.reasons.model_client import ModelClientReason
from tunewright_operator.domain.reasons.model_server import ModelServerReason

_OWN: Final[Mapping[Kind, type[Reason]]] = {
    BASE_MODEL: BaseModelReason,
    FINE_TUNE_JOB: FineTuneJobReason,
    MODEL_SERVER: ModelServerReason,
    ADAPTER_DEPLOYMENT: AdapterDeploymentReason,
    MODEL_CLIENT: ModelClientReason,
}


def find_reason(kind: Kind, word: str) -> Reason | None:
    """Return the operator's reason that a condition of a kind names; None if the reason is one that a pod reported."""
    return next((reason for enum in (_OWN[kind], CommonReason) for reason in enum if reason == word), None)
