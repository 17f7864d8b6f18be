"""Reasons are API: each is a valid identifier and documented, and those of the images agree with the images."""

from __future__ import annotations

import re

import pytest

from tunewright_contracts.reasons import Reason
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason
from tunewright_operator.domain.reasons.base_model import BaseModelReason
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.reasons.model_server import ModelServerReason

ENUMS: tuple[type[Reason], ...] = (
    AdapterDeploymentReason,
    BaseModelReason,
    CommonReason,
    FineTuneJobReason,
    ModelServerReason,
)


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_each_reason_is_an_identifier_with_a_meaning_and_a_remedy(enum: type[Reason]):
    for reason in enum:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason.value)
        assert reason.meaning.endswith((".", ")")), reason
        assert reason.remedy.endswith("."), reason
        assert str(reason) == reason.value
