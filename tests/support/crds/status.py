"""The CRDs' own schemas, applied to what loops write: a real API server refuses or prunes what does not fit."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson
import yaml
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

CRDS = Path(__file__).parents[3] / "crds"


@cache
def load_status_schema(plural: str) -> dict[str, Any]:
    crd = yaml.safe_load((CRDS / f"tunewright.dev_{plural}.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


@cache
def build_validator(plural: str) -> Validator:
    """Return the validator of a kind's status: `jsonschema.validate` would check the schema itself each time, the most of a loop test."""
    schema = load_status_schema(plural)
    found: type[Validator] = validator_for(schema)
    return found(schema)


def check_status(plural: str, status: dict[str, Any]) -> None:
    """Fail when the API server would refuse this status, or silently drop a field of it."""
    _check_status(plural, orjson.dumps(status, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=10_000)
def _check_status(plural: str, text: bytes) -> None:
    # Loops write the same statuses again and again, most of all those that a crash test plays once per write.
    schema, status = load_status_schema(plural), orjson.loads(text)
    build_validator(plural).validate(status)
    pruned = list(find_pruned(schema, status, "status"))
    assert not pruned, f"the CRD of {plural} lacks {pruned}"


def check_kstatus(body: dict[str, Any], status: dict[str, Any]) -> None:
    """Fail when kstatus would misread a status (https://github.com/kubernetes-sigs/cli-utils, pkg/kstatus).

    Reconciling and Stalled stand there only when True and never together, and the status says which spec it saw.
    """
    conditions = status.get("conditions", [])
    states = {item["type"]: item["status"] for item in conditions}
    assert len(states) == len(conditions), f"a type stands there twice: {conditions}"
    abnormal = [name for name in ("Reconciling", "Stalled") if name in states]
    assert len(abnormal) <= 1, f"both {abnormal}: {conditions}"
    assert all(states[name] == "True" for name in abnormal), conditions
    assert status.get("observedGeneration") == body["metadata"]["generation"], (
        f"the status of generation {body['metadata']['generation']} says it saw {status.get('observedGeneration')}"
    )


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
