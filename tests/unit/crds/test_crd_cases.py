"""Every rule, enum and pattern in crds/ has a good and a bad manifest in tests/e2e/crds/."""

from __future__ import annotations

import pytest

from support.crds.cases import read_tables
from support.crds.schema import read_crds, root_schema, walk

KINDS = sorted(read_crds())


def constraints(kind: str) -> set[tuple[str, str]]:
    """Return (path, rule) of every constraint on a manifest."""
    found = set()
    for path, schema in walk(root_schema(read_crds()[kind])):
        found |= {(path, rule["message"]) for rule in schema.get("x-kubernetes-validations", ())}
        found |= {(path, word) for word in ("enum", "pattern") if word in schema}
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_constraint_has_a_bad_manifest(kind: str) -> None:
    covered = {(case.at, case.rule) for case in read_tables()[kind].cases}
    assert sorted(constraints(kind) - covered) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_constraint_has_a_good_manifest(kind: str) -> None:
    covered = {(case.at, case.rule) for case in read_tables()[kind].cases if case.good is not None}
    assert sorted(constraints(kind) - covered) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_belongs_to_a_rule_of_the_crds(kind: str) -> None:
    stale = {(case.at, case.rule) for case in read_tables()[kind].cases} - constraints(kind)
    assert sorted(stale) == []
