"""The pod of the customers."""

from __future__ import annotations

from tunewright_dev.demo import customers
from tunewright_dev.paths import find_paths


def test_the_customers_pod_has_the_examples_scripts_and_no_rights():
    example = find_paths().clone / "examples" / "support-triage"
    wanted = customers.Customers("support", "image", "http://s:8000", "support", customers.Pace(3, 0.5))
    config, pod = customers.build_customers(wanted, example)
    assert set(config["data"]) == set(customers.SCRIPTS)
    assert pod["spec"]["containers"][0]["command"][-1] == "--customers=3"
    assert "--think=0.5" in pod["spec"]["containers"][0]["command"]
    assert pod["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": "client"}
    folder, key = pod["spec"]["containers"][0]["env"]
    assert folder == {"name": "PYTHONPATH", "value": "/client"}
    assert key["valueFrom"]["secretKeyRef"] == {"name": "customers-key", "key": "OPENAI_API_KEY"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] is True


def test_two_pods_with_the_same_scripts_have_different_labels():
    example = find_paths().clone / "examples" / "support-triage"
    wanted = customers.Customers("support", "image", "http://s:8000", "speed", customers.Pace(3, 0), name="speed")
    config, pod = customers.build_customers(wanted, example)
    assert config["metadata"]["name"] == pod["metadata"]["name"] == "speed"
    assert pod["spec"]["volumes"][0]["configMap"] == {"name": "speed"}


def test_the_pace_is_changed_by_the_client_in_the_pod():
    command = customers.build_pace_command("support", customers.Pace(24, 0.5))
    assert command[:4] == ["exec", "--namespace", "support", "customers"]
    assert command[-2:] == ["--think=0.5", "--set-customers=24"]
