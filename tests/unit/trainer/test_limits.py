"""A record may be as long as the job says, and never longer than the base model reads."""

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
def test_length_limit_names_the_setting_that_it_comes_from(make_spec, wanted, expected):
    assert length_limit(make_spec(training={"maxSequenceLength": wanted})) == expected
