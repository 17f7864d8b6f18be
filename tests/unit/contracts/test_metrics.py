"""A metric on the wire."""

import pytest

from tunewright_contracts.document import ContractError
from tunewright_contracts.metrics import MetricSpec, MetricType


def test_the_schema_of_a_metric_is_named_schema_on_the_wire():
    metric = MetricSpec(type=MetricType.JSON_SCHEMA, json_schema={"type": "object"}, max_regression="0.05")
    assert metric.to_wire() == {
        "type": "JSONSchema", "schema": {"type": "object"}, "values": [], "maxRegression": "0.05",
    }  # fmt: skip
    assert MetricSpec.from_wire(metric.to_wire()) == metric


@pytest.mark.parametrize("bound", ["1e-2", "0,5", ".5", "", "NaN", "0." + "1" * 40])
def test_a_bound_is_a_plain_decimal(bound):
    with pytest.raises(ContractError, match="minimum"):
        MetricSpec.from_wire({"type": "ExactMatch", "minimum": bound})
