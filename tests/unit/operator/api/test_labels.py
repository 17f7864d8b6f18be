"""Labels of children and the references to their owners."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import FINE_TUNE_JOB, MODEL_SERVER

OWNER = {
    "apiVersion": FINE_TUNE_JOB.api_version,
    "kind": FINE_TUNE_JOB.name,
    "metadata": {"name": "tickets", "namespace": "team", "uid": "u"},
}


def test_a_child_has_the_labels_by_which_its_loop_and_the_watch_find_it() -> None:
    found = labels.build_labels(FINE_TUNE_JOB, "tickets", labels.Role.TRAIN)
    assert found == {
        "tunewright.dev/managed-by": "tunewright",
        "tunewright.dev/kind": "FineTuneJob",
        "tunewright.dev/name": "tickets",
        "tunewright.dev/role": "train",
    }
    key, _, value = labels.OWNED_SELECTOR.partition("=")
    assert found[key] == value


def test_the_service_of_a_server_selects_its_pods() -> None:
    assert labels.build_server_labels("pool") == labels.build_labels(MODEL_SERVER, "pool", labels.Role.SERVER)


def test_the_owner_of_a_child_is_its_controller() -> None:
    reference = labels.build_owner_reference(OWNER)
    assert reference == {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "FineTuneJob",
        "name": "tickets",
        "uid": "u",
        "controller": True,
    }
    assert labels.controller_uid({"metadata": {"ownerReferences": [reference]}}) == "u"


@pytest.mark.parametrize(
    ("metadata", "uid"),
    [
        ({}, None),
        ({"ownerReferences": None}, None),
        ({"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": False}]}, None),
        ({"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}]}, "b"),
    ],
)
def test_only_a_controller_controls_an_object(metadata: dict[str, Any], uid: str | None) -> None:
    assert labels.controller_uid({"metadata": metadata}) == uid
