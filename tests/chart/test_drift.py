"""What the chart renders is what the API server stores: a tool that applies it again and again changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from chart.conftest import Body, Render

KEYED_LISTS = {
    "containers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists that server-side apply merges by keys: an item must have them, and no other item may have the same ones."""
QUANTITY = re.compile(r"([1-9][0-9]*)(m|Ki|Mi|Gi)")
MULTIPLES = {"m": 1000, "Ki": 1024, "Mi": 1024, "Gi": 1024}
VALUES = ("crds.enabled=false", "operator.replicas=2")


def walk(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value of an object with its path; lists have no part in it."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, *path, key)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, *path)


def values_of(bodies: list[Body]) -> Iterator[tuple[str, Any]]:
    for body in bodies:
        for path, value in walk(body):
            yield ".".join((body["kind"], body["metadata"]["name"], *path)), value


def test_rendering_again_gives_the_same_objects(render: Render) -> None:
    assert render() == render()


def test_no_value_is_null(render: Render) -> None:
    assert [path for path, value in values_of(render()) if value is None] == []


def test_no_list_that_is_merged_by_keys_repeats_one(render: Render) -> None:
    for path, value in values_of(render(*VALUES, "images.pullSecrets[0].name=pull", "operator.extraEnv[0].name=X")):
        keys = KEYED_LISTS.get(path.rpartition(".")[2])
        if keys is not None and isinstance(value, list):
            found = [tuple(item[key] for key in keys) for item in value]
            assert len(set(found)) == len(found), path


def test_labels_annotations_and_variables_are_strings(render: Render) -> None:
    for path, value in values_of(render(*VALUES)):
        parent, _, name = path.rpartition(".")
        if name in {"labels", "annotations", "matchLabels"}:
            assert all(isinstance(item, str) for item in value.values()), path
        if name == "value" and parent.endswith(".env"):
            assert isinstance(value, str), path


def test_quantities_are_written_as_the_api_server_writes_them(render: Render) -> None:
    found: list[str] = []
    for path, value in values_of(render(*VALUES)):
        if path.endswith((".resources.limits", ".resources.requests")):
            found += value.values()
        elif path.endswith(".emptyDir.sizeLimit"):
            found.append(value)
    assert found
    for quantity in found:
        match = QUANTITY.fullmatch(str(quantity))
        assert match, quantity
        assert int(match[1]) % MULTIPLES[match[2]], f"{quantity} is stored in a larger unit"
