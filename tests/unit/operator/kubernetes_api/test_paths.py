"""Paths and selectors of the Kubernetes API."""

from __future__ import annotations

import pytest

from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB, NAMESPACE, POD, Kind
from tunewright_operator.kubernetes_api.paths import build_path, format_selector


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "subresource", "path"),
    [
        (POD, "ns", "p", "", "/api/v1/namespaces/ns/pods/p"),
        (POD, "ns", "", "", "/api/v1/namespaces/ns/pods"),
        (POD, None, "", "", "/api/v1/pods"),
        (NAMESPACE, None, "ns", "", "/api/v1/namespaces/ns"),
        (FINE_TUNE_JOB, "ns", "j", "status", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j/status"),
        (BASE_MODEL, "ignored", "m", "", "/apis/tunewright.dev/v1alpha1/basemodels/m"),
        (POD, "n/s", "p?x=1", "", "/api/v1/namespaces/n%2Fs/pods/p%3Fx%3D1"),
    ],
)
def test_each_object_has_its_path(kind: Kind, namespace: str | None, name: str, subresource: str, path: str):
    assert build_path(kind, namespace, name, subresource) == path


def test_a_selector_requires_all_values_in_a_fixed_order():
    assert format_selector({"b": "2", "a": "1"}) == "a=1,b=2"
