"""The customers' pod."""

from __future__ import annotations

from tunewright_dev.demo import customers
from tunewright_dev.paths import find_paths


def test_the_customers_pod_has_the_examples_scripts_and_no_rights():
    example = find_paths().clone / "examples" / "support-triage"
    wanted = customers.Customers("support", "image", "http://s:8000", "support", 3)
    config, pod = customers.build_customers(wanted, example)
    assert set(config["data"]) == set(customers.SCRIPTS)
    assert pod["spec"]["containers"][0]["command"][-1] == "--customers=3"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] is True
