"""Check statuses against the CRDs' schemas: a real API server refuses or prunes what does not fit."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import jsonschema_rs
import orjson

from support.crds.schema import read_crds, root_schema
from tunewright_operator.api.kinds import Kind


@cache
def load_status_schema(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = root_schema(read_crds()[kind.name])["properties"]["status"]
    return schema


@cache
def build_validator(kind: Kind) -> jsonschema_rs.Validator:
    """Return the validator of a kind's status. It is cached, because building one takes longer than using it."""
    return jsonschema_rs.validator_for(load_status_schema(kind))


def check_status(kind: Kind, status: dict[str, Any]) -> None:
    """Fail when the API server would refuse this status or drop a field of it."""
    _check_status(kind, orjson.dumps(status, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=10_000)
def _check_status(kind: Kind, text: bytes) -> None:
    # The cache helps because loops write the same statuses many times, above all in crash tests.
    schema, status = load_status_schema(kind), orjson.loads(text)
    build_validator(kind).validate(status)
    pruned = list(find_pruned(schema, status, "status"))
    assert not pruned, f"the CRD of {kind} lacks {pruned}"


def check_kstatus(body: dict[str, Any], status: dict[str, Any]) -> None:
    """Fail when kstatus would misread a status (https://github.com/kubernetes-sigs/cli-utils, pkg/kstatus).

    Reconciling and Stalled are present only when True and never together, and observedGeneration is current.

    A resource without both of them is as its spec asks, so kstatus must not report progress. The only exceptions are
    `ScaledToZero` and `Suspended`: clients get no answer, so Ready is False, which kstatus always reads as progress.
    """
    conditions = status.get("conditions", [])
    states = {item["type"]: item["status"] for item in conditions}
    assert len(states) == len(conditions), f"a condition type occurs twice: {conditions}"
    abnormal = [name for name in ("Reconciling", "Stalled") if name in states]
    assert len(abnormal) <= 1, f"both {abnormal}: {conditions}"
    assert all(states[name] == "True" for name in abnormal), conditions
    assert status.get("observedGeneration") == body["metadata"]["generation"], (
        f"generation {body['metadata']['generation']} has a status of {status.get('observedGeneration')}"
    )
    if compute_kstatus(conditions) == "InProgress" and not abnormal:
        reasons = [item["reason"] for item in conditions if item["type"] == "Ready"]
        assert reasons in (["ScaledToZero"], ["Suspended"]), (
            f"kstatus reports progress, but nothing is reconciling: {conditions}"
        )


def compute_kstatus(conditions: list[dict[str, Any]]) -> str:
    """Return what kstatus (v0.37) computes from the conditions of a custom resource that has seen its spec."""
    states = {item["type"]: item["status"] for item in conditions}
    if states.get("Reconciling") == "True":
        return "InProgress"
    if states.get("Stalled") == "True":
        return "Failed"
    return "Current" if states.get("Ready", "True") == "True" else "InProgress"


def find_pruned(schema: dict[str, Any], value: Any, where: str) -> list[str]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    if isinstance(value, list):
        return [name for item in value for name in find_pruned(schema.get("items", {}), item, f"{where}[]")]
    if not isinstance(value, dict):
        return []
    if isinstance(schema.get("additionalProperties"), dict):
        return []
    known = schema.get("properties", {})
    found: list[str] = []
    for key, item in value.items():
        found += find_pruned(known[key], item, f"{where}.{key}") if key in known else [f"{where}.{key}"]
    return found
