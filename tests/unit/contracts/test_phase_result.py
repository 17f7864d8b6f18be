"""A termination message fits into 4 KiB and keeps the facts."""

import pytest

from tunewright_contracts.phase_result import (
    MAX_TERMINATION_MESSAGE_BYTES,
    AdapterSummary,
    DatasetSummary,
    Outcome,
    PhaseResult,
)

DIGEST = "sha256:" + "0" * 64


def test_termination_message_keeps_facts_and_shortens_texts():
    dataset = DatasetSummary(
        digest=DIGEST, uri="s3://bucket/d", train=1, validation=1, evaluation=1, first_problems=("x" * 500,) * 9
    )
    result = PhaseResult(outcome=Outcome.FAILED, reason="Reason", message="ü" * 5000, dataset=dataset)
    text = result.to_termination_message()
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    read = PhaseResult.from_json(text)
    assert (read.reason, read.dataset.train, read.dataset.first_problems) == ("Reason", 1, ())
    assert read.message.endswith("…")


def test_a_message_that_fits_is_unchanged():
    dataset = DatasetSummary(
        digest=DIGEST, uri="s3://bucket/d", train=1, validation=1, evaluation=1, first_problems=("a.jsonl:7: not JSON",)
    )
    result = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Prepared", message="1 record skipped", dataset=dataset)
    assert PhaseResult.from_json(result.to_termination_message()) == result


@pytest.mark.timeout(20)
@pytest.mark.parametrize("message", ["", "published", "…"])
def test_facts_over_the_limit_are_written_without_a_message(message):
    """A key of quotes takes two bytes for each in JSON."""
    uri = "s3://bucket/" + '"' * 1000
    adapter = AdapterSummary(
        uri=uri, digest=DIGEST, rank=8, bytes=1, base_model_digest=DIGEST, evaluation_dataset_uri=uri
    )
    result = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Published", message=message, adapter=adapter)
    read = PhaseResult.from_json(result.to_termination_message())
    assert read.adapter == adapter
    assert len(read.message) <= 1


def test_notes_are_dropped_only_if_a_message_without_text_is_too_long():
    long = "s3://bucket/" + '"' * 1000
    notes = ("x" * 280,) * 8
    for uri, kept in (("s3://bucket/d", notes), (long, ())):
        dataset = DatasetSummary(
            digest=DIGEST, uri=uri, train=1, validation=1, evaluation=1, notes=notes, ignored_keys={"id": 7}
        )
        result = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Prepared", message="m" * 5000, dataset=dataset)
        text = result.to_termination_message()
        assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
        assert PhaseResult.from_json(text).dataset.notes == kept


@pytest.mark.parametrize(("extra", "is_whole"), [(0, True), (1, False)])
def test_a_message_of_exactly_the_limit_is_whole(extra, is_whole):
    empty = PhaseResult(outcome=Outcome.FAILED, reason="Reason", message="")
    message = "x" * (MAX_TERMINATION_MESSAGE_BYTES - len(empty.to_json()) + extra)
    text = empty.updated(message=message).to_termination_message()
    assert len(text) <= MAX_TERMINATION_MESSAGE_BYTES
    assert (PhaseResult.from_json(text).message == message) is is_whole


def test_counts_that_a_trainer_does_not_report_are_zero_or_unknown():
    wire = {"digest": DIGEST, "uri": "s3://bucket/d", "train": 1, "validation": 1, "evaluation": 1}
    summary = DatasetSummary.from_wire(wire)
    assert (summary.skipped, summary.duplicates, summary.tokens, summary.max_tokens) == (0, 0, None, None)
