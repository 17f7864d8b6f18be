"""From the reason in a condition to its documentation."""

from __future__ import annotations

from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, OWN_KINDS
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason
from tunewright_operator.domain.reasons.base_model import BaseModelReason
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.reasons.lookup import find_reason
from tunewright_operator.domain.reasons.model_server import ModelServerReason


def test_a_reason_is_found_among_those_of_its_kind():
    assert find_reason(FINE_TUNE_JOB, "Starting") is FineTuneJobReason.STARTING
    assert find_reason(MODEL_SERVER, "Starting") is ModelServerReason.STARTING
    assert find_reason(ADAPTER_DEPLOYMENT, "Baking") is AdapterDeploymentReason.BAKING
    assert find_reason(BASE_MODEL, "Baking") is None


def test_the_reasons_of_every_kind_include_the_common_ones():
    for kind in OWN_KINDS:
        assert find_reason(kind, "InternalError") is CommonReason.INTERNAL_ERROR


def test_a_reason_that_a_pod_reported_is_none_of_the_operators():
    assert find_reason(FINE_TUNE_JOB, "InvalidRecords") is None


def test_the_transient_reasons_are_those_that_are_retried():
    enums = (AdapterDeploymentReason, BaseModelReason, CommonReason, FineTuneJobReason, ModelServerReason)
    assert {reason for enum in enums for reason in enum if reason.transient} == {
        AdapterDeploymentReason.LOADING_RETRIED,
        BaseModelReason.INSPECTION_RETRYING,
        FineTuneJobReason.RETRYING,
    }
