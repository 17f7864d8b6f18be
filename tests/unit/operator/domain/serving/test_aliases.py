"""Who owns an alias, and which names no alias may have."""

from __future__ import annotations

import itertools

import pytest

from tunewright_operator.domain.serving.aliases import AliasClaim, decide_owners, explain_bad_alias


def claim(uid: str, created: int = 1, *, namespace: str = "team", name: str = "", alias: str = "support") -> AliasClaim:
    return AliasClaim(uid, namespace, name or uid, f"2026-01-01T00:00:0{created}Z", alias)


@pytest.mark.parametrize(
    ("claims", "last_owner", "owner"),
    [
        ([claim("a", 2), claim("b", 1)], None, "b"),
        ([claim("a", namespace="y"), claim("b", namespace="x")], None, "b"),
        ([claim("a", name="n"), claim("b", name="m")], None, "b"),
        ([claim("a", 1), claim("b", 2)], "b", "b"),
        ([claim("a", 2), claim("b", 1)], "gone", "b"),
        ([claim("a", 1), claim("b", 2, alias="billing")], "b", "a"),
    ],
    ids=[
        "the oldest",
        "then by namespace",
        "then by name",
        "the last owner",
        "the last owner is gone",
        "it moved away",
    ],
)
def test_the_owner_of_an_alias(claims: list[AliasClaim], last_owner: str | None, owner: str) -> None:
    last = {"support": last_owner} if last_owner else {}
    for order in itertools.permutations(claims):
        assert decide_owners(order, last)["support"].uid == owner


def test_each_alias_has_its_own_owner() -> None:
    owners = decide_owners([claim("a"), claim("b", alias="billing")], {})
    assert {alias: owner.uid for alias, owner in owners.items()} == {"support": "a", "billing": "b"}


@pytest.mark.parametrize("alias", ["smollm2", "a--b", "--", "support--0123456789ab"])
def test_names_that_no_alias_may_have(alias: str) -> None:
    assert repr(alias) in (explain_bad_alias(alias, "smollm2") or "")


@pytest.mark.parametrize("alias", ["support", "smollm", "smollm2-support", "a-b"])
def test_names_that_an_alias_may_have(alias: str) -> None:
    assert explain_bad_alias(alias, "smollm2") is None
