"""The status of a FineTuneJob: the fields that a decision may change, and a pod's reports without invalid values."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.phase_result import AdapterSummary
from tunewright_contracts.progress import Phase, Progress
from tunewright_operator.api.fine_tune_job import FineTuneJobStatus, ProgressStatus
from tunewright_operator.domain.finetune.status import (
    AttemptUpdate,
    build_adapter_status,
    build_progress_status,
    build_scores,
    finish_progress,
    format_decimal,
)

TIME = "2026-01-01T00:00:00Z"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_an_update_has_only_fields_of_the_status_that_are_not_derived():
    fields = AttemptUpdate.__annotations__.keys()
    assert fields < FineTuneJobStatus.model_fields.keys()
    assert FineTuneJobStatus.model_fields.keys() - fields == {"phase", "conditions", "observed_generation"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), (0.0, "0"), (-0.00001, "0"), (1.25, "1.25"), (0.12345, "0.1235"), (100.0, "100"), (-2.5, "-2.5")],
)
def test_a_number_becomes_a_short_decimal(value: float | None, text: str | None):
    assert format_decimal(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e13])
def test_values_that_a_status_cannot_hold_are_left_out(value: float):
    assert format_decimal(value) is None


def test_a_score_that_is_no_number_is_left_out_and_a_base_without_one_stays_unset():
    scores = [
        Score(type="ExactMatch", base=math.nan, tuned=0.5, samples=4),
        Score(type="JSONSchema", base=0.1, tuned=math.nan, samples=4),
    ]
    assert [(score.type, score.base, score.tuned) for score in build_scores(scores)] == [("ExactMatch", None, "0.5")]


def test_a_snapshot_stays_within_the_training():
    progress = Progress(phase=Phase.TRAINING, attempt=1, step=150, total_steps=100, updated_at=TIME)
    status = build_progress_status(progress, NOW)
    assert status.reported_at == TIME
    assert (status.step, status.total_steps, status.percent) == (100, 100, 100)


def test_a_snapshot_of_a_training_of_unknown_length_has_no_percentage():
    progress = Progress(phase=Phase.TRAINING, attempt=1, step=7, total_steps=0, updated_at=TIME)
    status = build_progress_status(progress, NOW)
    assert (status.step, status.percent) == (7, 0)


def test_a_finished_training_is_complete_and_expects_no_finish():
    recorded = ProgressStatus(step=40, total_steps=60, percent=66, train_loss="0.5", estimated_finish=TIME)
    finished = finish_progress(recorded, last_step=None, ended=NOW)
    assert finished == ProgressStatus(step=60, total_steps=60, percent=100, train_loss="0.5", reported_at=TIME)


def test_a_training_whose_progress_was_never_read_has_the_length_of_its_result():
    whole = ProgressStatus(step=6, total_steps=6, percent=100, reported_at=TIME)
    assert finish_progress(None, last_step=6, ended=NOW) == whole
    assert finish_progress(None, last_step=None, ended=NOW) is None


@pytest.mark.parametrize("stop_token_ids", [None, (2, 7)])
def test_the_adapters_status_has_the_tokens_that_end_answers(stop_token_ids: tuple[int, ...] | None):
    digest = "sha256:" + "0" * 64
    summary = AdapterSummary(
        uri="s3://bucket/a", digest=digest, rank=8, bytes=1, base_model_digest=digest, stop_token_ids=stop_token_ids
    )
    assert build_adapter_status(summary).stop_token_ids == stop_token_ids
