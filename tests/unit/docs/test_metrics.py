"""The page of metrics names every metric, and no other."""

import pathlib
import re

from prometheus_client.metrics import MetricWrapperBase

from tunewright_operator.runtime import metrics as operator_metrics
from tunewright_server.telemetry.counters import Counters
from tunewright_server.telemetry.metrics import ServerCollector

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_the_page_is_complete():
    collectors = [value for value in vars(operator_metrics).values() if isinstance(value, MetricWrapperBase)]
    collectors.append(ServerCollector(Counters(), {}, list, lambda: 1))
    exported = set()
    for collector in collectors:
        for family in collector.collect():
            exported.add(f"{family.name}_total" if family.type == "counter" else family.name)
    assert set(re.findall(r"^\| `(tunewright_[a-z_]+)`", PAGE.read_text(), re.MULTILINE)) == exported
