"""The length limit of a record is that of the job, and at most that of the base model."""

import pytest

from tunewright_trainer.limits import length_limit

CONTEXT = (4096, "the context length of base model tiny")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0, CONTEXT),  # Auto
        (512, (512, "training.maxSequenceLength")),
        (4096, (4096, "training.maxSequenceLength")),
        (4097, CONTEXT),
    ],
)
def test_length_limit_names_its_setting(make_spec, wanted, expected):
    assert length_limit(make_spec(training={"maxSequenceLength": wanted})) == expected
