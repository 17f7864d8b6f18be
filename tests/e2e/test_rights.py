"""The chart grants the rights that the operator needs and no others, according to the real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.harness.kubectl import Kubectl

pytestmark = pytest.mark.e2e

SYSTEM = "tunewright-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:tunewright-operator"
RULES = yaml.safe_load(
    (Path(__file__).parents[2] / "charts" / "tunewright" / "files" / "operator-rules.yaml").read_text()
)
Right = tuple[str, str, str]
"""(API group, resource, verb)."""


def rights_of(rules: list[dict[str, Any]]) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule.get("apiGroups", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def ask_rights(kubectl: Kubectl, user: str, namespace: str) -> set[Right]:
    """Return all rights of a user in a namespace, according to the API server."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    groups = ["--as-group=system:authenticated", "--as-group=system:serviceaccounts"]
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    done = kubectl.run("create", "--raw", path, "-f", "-", f"--as={user}", *groups, stdin=json.dumps(review))
    return rights_of(json.loads(done.stdout)["status"]["resourceRules"])


def can(kubectl: Kubectl, user: str, verb: str, resource: str, namespace: str, *options: str) -> bool:
    done = kubectl.run("auth", "can-i", verb, resource, f"--as={user}", "-n", namespace, *options, check=False)
    assert done.stdout.strip() in ("yes", "no"), done.stderr
    return done.stdout.strip() == "yes"


@pytest.mark.parametrize(
    ("namespace", "parts"), [("default", ["cluster", "tenants"]), (SYSTEM, ["cluster", "tenants", "namespace"])]
)
def test_operator_has_exactly_the_listed_rights(kubectl: Kubectl, namespace: str, parts: list[str]) -> None:
    listed = set().union(*(rights_of(RULES[part]) for part in parts))
    everyone = ask_rights(kubectl, "system:serviceaccount:default:unbound", namespace)
    assert ask_rights(kubectl, OPERATOR, namespace) - everyone == listed - everyone


@pytest.mark.parametrize(
    ("verb", "resource", "options"),
    [
        ("list", "secrets", ()),
        ("watch", "secrets", ()),
        ("delete", "secrets", ()),
        ("create", "pods", ()),
        ("delete", "pods", ()),
        ("create", "pods", ("--subresource=exec",)),
        ("get", "pods", ("--subresource=log",)),
        ("create", "serviceaccounts", ("--subresource=token",)),
        ("impersonate", "users", ()),
        ("create", "rolebindings.rbac.authorization.k8s.io", ()),
        ("update", "jobs.batch", ()),
        ("update", "finetunejobs.tunewright.dev", ()),
        ("patch", "adapterdeployments.tunewright.dev", ()),
        ("create", "adapterdeployments.tunewright.dev", ()),
        ("delete", "modelservers.tunewright.dev", ()),
        ("update", "modelclients.tunewright.dev", ()),
        ("create", "modelclients.tunewright.dev", ()),
        ("update", "customresourcedefinitions.apiextensions.k8s.io", ()),
        ("get", "leases.coordination.k8s.io", ()),
        ("get", "nodes", ()),
    ],
)
def test_operator_cannot(kubectl: Kubectl, verb: str, resource: str, options: tuple[str, ...]) -> None:
    assert not can(kubectl, OPERATOR, verb, resource, "default", *options)


@pytest.mark.parametrize(
    ("verb", "resource", "options"),
    [
        ("get", "secrets", ()),
        ("create", "jobs.batch", ()),
        ("patch", "jobs.batch", ()),
        ("patch", "deployments.apps", ()),
        ("patch", "basemodels.tunewright.dev", ()),
        ("update", "adapterdeployments.tunewright.dev", ("--subresource=status",)),
        ("update", "modelclients.tunewright.dev", ("--subresource=status",)),
        ("get", "basemodels.tunewright.dev", ()),
        ("create", "events", ()),
        ("list", "events", ()),
    ],
)
def test_operator_can(kubectl: Kubectl, verb: str, resource: str, options: tuple[str, ...]) -> None:
    assert can(kubectl, OPERATOR, verb, resource, "default", *options)


@pytest.mark.parametrize(
    ("role", "request_", "allowed"),
    [
        ("view", ("get", "finetunejobs.tunewright.dev"), True),
        ("view", ("create", "finetunejobs.tunewright.dev"), False),
        ("edit", ("create", "finetunejobs.tunewright.dev"), True),
        ("edit", ("patch", "adapterdeployments.tunewright.dev"), True),
        ("edit", ("update", "adapterdeployments.tunewright.dev", "--subresource=status"), False),
        ("edit", ("create", "modelclients.tunewright.dev"), True),
        ("view", ("update", "modelclients.tunewright.dev"), False),
        ("edit", ("update", "modelservers.tunewright.dev", "--subresource=scale"), True),
        ("admin", ("delete", "modelservers.tunewright.dev"), True),
        ("admin", ("create", "basemodels.tunewright.dev"), False),
        ("admin", ("get", "basemodels.tunewright.dev"), True),
    ],
)
def test_rights_of_users(
    kubectl: Kubectl, user_with: dict[str, str], role: str, request_: tuple[str, ...], allowed: bool
) -> None:
    verb, resource, *options = request_
    options.append("--as-group=system:authenticated")
    assert can(kubectl, user_with[role], verb, resource, "default", *options) is allowed


@pytest.fixture(scope="module")
def user_with(kubectl: Kubectl) -> Any:
    """Return a user for each of Kubernetes' default roles, bound in the namespace ``default``."""
    users = {role: f"rights-test-{role}" for role in ("view", "edit", "admin")}
    bindings = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": user, "namespace": "default"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        for role, user in users.items()
    ]
    kubectl.apply(*bindings)
    yield users
    for user in users.values():
        kubectl.delete("rolebinding", user, "default")
