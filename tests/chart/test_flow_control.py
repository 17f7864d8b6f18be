"""API Priority and Fairness: the operator's requests have a level of their own, and its Lease another one."""

from __future__ import annotations

from typing import Any

from chart.conftest import Body, Render

KINDS = ("FlowSchema", "PriorityLevelConfiguration")
SUBJECT = {
    "kind": "ServiceAccount",
    "serviceAccount": {"name": "tunewright-operator", "namespace": "tunewright-system"},
}


def flow_objects(bodies: list[Body]) -> dict[tuple[str, str], Any]:
    return {(body["kind"], body["metadata"]["name"]): body["spec"] for body in bodies if body["kind"] in KINDS}


def test_without_the_value_there_is_none(render: Render) -> None:
    assert flow_objects(render()) == {}


def test_the_lease_has_the_level_of_leader_elections_and_the_rest_its_own(render: Render) -> None:
    found = flow_objects(render("flowControl.enabled=true", "flowControl.nominalConcurrencyShares=7"))
    assert found.keys() == {
        ("PriorityLevelConfiguration", "tunewright-operator"),
        ("FlowSchema", "tunewright-operator"),
        ("FlowSchema", "tunewright-operator-lease"),
    }
    level = found["PriorityLevelConfiguration", "tunewright-operator"]
    assert level["limited"]["nominalConcurrencyShares"] == 7
    rest, lease = found["FlowSchema", "tunewright-operator"], found["FlowSchema", "tunewright-operator-lease"]
    assert lease["priorityLevelConfiguration"] == {"name": "leader-election"}
    assert rest["priorityLevelConfiguration"] == {"name": "tunewright-operator"}
    # The API server takes the first schema that matches; its own one for service accounts has 9000.
    assert lease["matchingPrecedence"] < rest["matchingPrecedence"] < 9000


def test_the_subject_is_the_service_account_of_the_operator(render: Render) -> None:
    bodies = render("flowControl.enabled=true")
    (account,) = {
        (body["metadata"]["name"], body["metadata"]["namespace"])
        for body in bodies
        if body["kind"] == "ServiceAccount" and not body["metadata"]["name"].endswith("finalizers")
    }
    assert SUBJECT["serviceAccount"] == {"name": account[0], "namespace": account[1]}
    for (kind, _), spec in flow_objects(bodies).items():
        if kind == "FlowSchema":
            assert [rule["subjects"] for rule in spec["rules"]] == [[SUBJECT]]


def test_the_lease_rule_has_the_rights_that_the_operator_uses(render: Render) -> None:
    bodies = render("flowControl.enabled=true")
    ((rule,),) = (
        [rule for spec_rule in spec["rules"] for rule in spec_rule["resourceRules"]]
        for (_, name), spec in flow_objects(bodies).items()
        if name.endswith("-lease")
    )
    (role,) = (body for body in bodies if body["kind"] == "Role" and body["metadata"]["name"] == "tunewright-operator")
    (lease,) = (right for right in role["rules"] if right["resources"] == ["leases"])
    assert {key: rule[key] for key in ("apiGroups", "resources", "verbs")} == lease
    assert rule["namespaces"] == ["tunewright-system"]
