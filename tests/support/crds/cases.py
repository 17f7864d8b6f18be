"""Read tests/e2e/crds/*.yaml: a good and a bad manifest for every rule of the CRDs."""

from __future__ import annotations

import copy
import dataclasses
import functools
from pathlib import Path
from typing import Any, Literal

import yaml

TABLES = Path(__file__).parents[2] / "e2e" / "crds"


@dataclasses.dataclass(frozen=True)
class Case:
    """One rule: patches that the API server accepts and refuses, and the place and text of the refusal."""

    kind: str
    at: str
    rule: str
    bad: dict[str, Any]
    good: dict[str, Any] | None
    update: Literal["create", "spec", "status"]
    field: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.at}-{self.rule[:40]}"

    @property
    def says(self) -> str:
        """Return the text that follows the field in the message."""
        return "Unsupported value" if self.rule == "enum" else self.rule


@dataclasses.dataclass(frozen=True)
class Table:
    """The cases of one kind, and the manifest to which their patches apply."""

    kind: str
    base: dict[str, Any]
    cases: tuple[Case, ...]


@functools.cache
def read_tables() -> dict[str, Table]:
    """Return the tables by kind."""
    tables = (_parse(yaml.safe_load(path.read_text())) for path in sorted(TABLES.glob("*.yaml")))
    return {table.kind: table for table in tables}


def _parse(document: dict[str, Any]) -> Table:
    cases = tuple(_parse_case(document["kind"], item) for item in document["cases"])
    return Table(document["kind"], document["base"], cases)


def _parse_case(kind: str, item: dict[str, Any]) -> Case:
    assert item.keys() <= {"at", "rule", "good", "bad", "update", "field"}, item
    update = {None: "create", True: "spec", "status": "status"}[item.get("update")]
    field = item.get("field") or item["at"].replace("[]", "[0]")
    return Case(kind, item["at"], item["rule"], item["bad"], item.get("good"), update, field)  # type: ignore[arg-type]


def merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7386) and return the result."""
    result = copy.deepcopy(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result
