"""The page of metrics lists exactly the existing metrics; the alerts use only these."""

import re
from pathlib import Path

import yaml
from prometheus_client.metrics import MetricWrapperBase

from tunewright_contracts.pool_load import PodLoad
from tunewright_operator.kubernetes_api import metrics as api_metrics
from tunewright_operator.runtime import metrics as operator_metrics
from tunewright_operator.store import metrics as store_metrics
from tunewright_server.telemetry.counters import Counters
from tunewright_server.telemetry.metrics import ServerCollector

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "reference" / "metrics.md"
ALERTS = DOCS / "how-to" / "alerts.md"
SERIES = r"(?:_bucket|_sum|_count)?"


def list_exported() -> set[str]:
    """Return the names of all metrics in Prometheus' form."""
    modules = (operator_metrics, api_metrics, store_metrics)
    collectors = [
        value for module in modules for value in vars(module).values() if isinstance(value, MetricWrapperBase)
    ]
    collectors.append(ServerCollector(Counters(), {}, list, lambda: PodLoad(pod="a", capacity=1, limit=1), lambda: 1))
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for collector in collectors
        for family in collector.collect()
    }


def test_the_page_is_complete():
    assert set(re.findall(r"^\| `(tunewright_[a-z_]+)`", PAGE.read_text(), re.MULTILINE)) == list_exported()


def test_alerts_use_metrics_that_exist():
    (rules,) = (
        document
        for block in re.findall(r"^```yaml\n(.*?)^```$", ALERTS.read_text(), re.MULTILINE | re.DOTALL)
        if "groups" in (document := yaml.safe_load(block))
    )
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    used = {name for expression in expressions for name in re.findall(r"tunewright_\w+", expression)}
    known = list_exported()
    assert expressions
    assert {name for name in used if re.sub(SERIES + "$", "", name) not in known} == set()
