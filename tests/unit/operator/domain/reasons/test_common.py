"""Which reasons of pods may be reasons of conditions."""

from __future__ import annotations

from tunewright_operator.domain.reasons.common import condition_reason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason


def test_a_pods_reason_is_used_only_when_it_is_valid_in_a_condition():
    assert condition_reason("InvalidRecords", FineTuneJobReason.POD_KILLED) == "InvalidRecords"
    for word in ("", "two words", "x" * 200, "<script>", "9lives"):
        assert condition_reason(word, FineTuneJobReason.POD_KILLED) == "PodKilled"
