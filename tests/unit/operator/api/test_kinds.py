"""Kinds are found by the bodies that the API server sends."""

from __future__ import annotations

import pytest

from tunewright_operator.api.kinds import ALL_KINDS, DEPLOYMENT, POD, kind_of


def test_every_kind_is_found_by_its_body() -> None:
    found = [kind_of({"apiVersion": kind.api_version, "kind": kind.name}) for kind in ALL_KINDS]
    assert found == list(ALL_KINDS)


def test_the_core_api_has_no_group() -> None:
    assert (POD.api_version, DEPLOYMENT.api_version) == ("v1", "apps/v1")


def test_some_kinds_have_no_namespace() -> None:
    cluster_scoped = {str(kind) for kind in ALL_KINDS if not kind.namespaced}
    assert cluster_scoped == {"BaseModel", "Namespace", "CustomResourceDefinition"}


@pytest.mark.parametrize(
    "body",
    [{"apiVersion": "apps/v1", "kind": "StatefulSet"}, {"apiVersion": "apps/v1beta1", "kind": "Deployment"}, {}],
)
def test_an_unknown_body_is_named(body: dict[str, str]) -> None:
    with pytest.raises(LookupError, match=str(body.get("kind"))):
        kind_of(body)
