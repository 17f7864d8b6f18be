"""A run specification on the wire, and what it must contain."""

import pytest

from tunewright_contracts.document import ContractError
from tunewright_contracts.run_spec import RunSpec

WIRE = {
    "job": {"namespace": "team", "name": "tickets", "uid": "u"},
    "baseModel": {"name": "smol", "digest": "sha256:" + "0" * 64, "contextLength": 2048},
    "dataset": {"sources": [{"name": "a", "configMap": True}]},
    "training": {},
    "evaluation": {},
    "outputUri": "s3://bucket/out",
    "runUri": "s3://bucket/out/runs/team/tickets-u",
}


def test_a_run_specification_of_an_earlier_operator_gets_the_defaults():
    spec = RunSpec.from_wire(WIRE)
    assert (spec.attempt, spec.dataset_uri) == (1, None)
    assert (spec.training.quantization, spec.training.lora.rank, spec.training.learning_rate) == ("NF4", 16, "0.0002")
    assert (spec.dataset.validation_percent, spec.dataset.evaluation_percent) == (5, 10)
    assert RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dataset": {"sources": []}}, "dataset.sources"),
        ({"dataset": {"sources": [{"name": "a", "format": "Alpaca"}]}}, "dataset.sources.0.format"),
        ({"training": {"learningRate": "2e-4"}}, "training.learningRate"),
        ({"training": {"quantization": "Int8"}}, "training.quantization"),
        ({"baseModel": {"name": "smol", "digest": "sha256:short", "contextLength": 1}}, "baseModel.digest"),
    ],
)
def test_an_unusable_run_specification_is_refused_with_the_field(changes, field):
    with pytest.raises(ContractError, match=rf"RunSpec: {field}: "):
        RunSpec.from_wire(WIRE | changes)
