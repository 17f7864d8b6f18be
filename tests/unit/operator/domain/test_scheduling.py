"""Which scheduling fields a tenant may use, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.resource import ResourceRequirements, Scheduling
from tunewright_operator.domain.scheduling import AllowedScheduling

RULES = AllowedScheduling(
    priority_classes=("batch",),
    runtime_classes=("nvidia",),
    toleration_keys=("gpu",),
    node_labels=("pool", "example.com/*"),
    extended_resources=("nvidia.com/*",),
)
EVERYTHING = AllowedScheduling(
    priority_classes=("*",),
    runtime_classes=("*",),
    toleration_keys=("*",),
    node_labels=("*",),
    extended_resources=("*",),
)


def explain(
    scheduling: dict[str, Any] | None = None, resources: dict[str, Any] | None = None, rules: AllowedScheduling = RULES
) -> str | None:
    problem = rules.find_problem(
        Scheduling.model_validate(scheduling or {}), ResourceRequirements.model_validate(resources or {})
    )
    assert problem is None or (problem.reason.value, problem.final) == ("SchedulingNotAllowed", False)
    return problem and problem.message


@pytest.mark.parametrize(
    ("scheduling", "resources"),
    [
        ({}, {}),
        ({"priorityClassName": "batch", "runtimeClassName": "nvidia"}, {}),
        ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, {}),
        ({"nodeSelector": {"pool": "a", "example.com/x": "b"}}, {}),
        ({}, {"limits": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": 1}}),
    ],
)
def test_what_the_lists_have_is_allowed(scheduling: dict[str, Any], resources: dict[str, Any]) -> None:
    assert explain(scheduling, resources) is None


@pytest.mark.parametrize(
    ("scheduling", "resources", "words"),
    [
        ({"priorityClassName": "batch2"}, {}, "spec.scheduling.priorityClassName 'batch2' (priorityClasses)"),
        ({"runtimeClassName": "runc"}, {}, "spec.scheduling.runtimeClassName 'runc' (runtimeClasses)"),
        (
            {"tolerations": [{"key": "gpu"}, {"key": "control"}]},
            {},
            "spec.scheduling.tolerations[1], key 'control' (tolerationKeys)",
        ),
        (
            {"tolerations": [{"operator": "Exists"}]},
            {},
            "spec.scheduling.tolerations[0], which tolerates every taint (tolerationKeys)",
        ),
        ({"nodeSelector": {"example.com": "a"}}, {}, "spec.scheduling.nodeSelector 'example.com' (nodeLabels)"),
        ({}, {"requests": {"a.b/c": 1}}, "spec.resources 'a.b/c' (extendedResources)"),
        ({}, {"limits": {"hugepages-2Mi": "1Gi"}}, "spec.resources 'hugepages-2Mi' (extendedResources)"),
    ],
)
def test_anything_else_is_refused_with_its_place(
    scheduling: dict[str, Any], resources: dict[str, Any], words: str
) -> None:
    message = explain(scheduling, resources)
    assert message is not None
    assert words in message
    assert "`allowedScheduling`" in message
    assert explain(scheduling, resources, EVERYTHING) is None


def test_a_message_has_a_bounded_number_of_values() -> None:
    message = explain({"nodeSelector": {f"label-{number}": "x" for number in range(16)}})
    assert message is not None
    assert "; and 11 more." in message
    assert "label-5" not in message
