"""Values computed before the first step: number of steps, lengths, and the fingerprint of a configuration."""

import pytest

from tunewright_contracts.phase_result import DatasetSummary
from tunewright_trainer.config import resolve_config

DIGEST = "sha256:" + "d" * 64


def dataset(train=100, max_tokens=61):
    return DatasetSummary(
        digest=DIGEST, uri="s3://bucket/d", train=train, validation=0, evaluation=0, max_tokens=max_tokens
    )


def test_steps_from_epochs_and_from_max_steps(make_spec):
    by_epochs = resolve_config(make_spec(training={"epochs": 3, "batchSize": 8}), dataset(train=100))
    assert (by_epochs.total_steps, by_epochs.epochs, by_epochs.warmup_steps) == (39, 3.0, 2)
    by_steps = resolve_config(make_spec(training={"maxSteps": 26, "batchSize": 8}), dataset(train=100))
    assert (by_steps.total_steps, by_steps.epochs) == (26, 2.0)


@pytest.mark.parametrize(
    ("wanted", "longest", "context", "length"),
    [(0, 61, 4096, 64), (0, 64, 4096, 64), (0, None, 2048, 2048), (256, 61, 4096, 256), (0, 4090, 4092, 4092)],
)
def test_sequence_length(make_spec, wanted, longest, context, length):
    spec = make_spec(training={"maxSequenceLength": wanted})
    spec = spec.model_copy(update={"base_model": spec.base_model.model_copy(update={"context_length": context})})
    assert resolve_config(spec, dataset(max_tokens=longest)).max_sequence_length == length


def test_fingerprint_ignores_the_micro_batch(make_spec):
    def fingerprint(**training):
        return resolve_config(make_spec(training=training), dataset()).fingerprint

    assert fingerprint() == fingerprint(microBatchSize=2, checkpointSteps=7)
    assert fingerprint() != fingerprint(batchSize=4)
    assert fingerprint() != fingerprint(seed=1)
    assert fingerprint() != resolve_config(make_spec(), dataset(train=99_999)).fingerprint


def test_the_fingerprint_of_a_job_never_changes(make_spec):
    """Checkpoints are found by it. With another one, an interrupted job of an earlier release would start again.

    The value is that of the first release. Replace it only when the recipe (a default, the loss) changes.
    """
    expected = "sha256:e89e99f0eddea9cc1c95d2662bd7e15e7e4d0fed2368131af99882e4771c9503"
    assert resolve_config(make_spec(), dataset()).fingerprint == expected
