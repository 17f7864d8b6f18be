"""Which deployment owns an alias, the name that clients send as ``model``.

An alias belongs to the deployment that the last written plan names, until that deployment releases it: it is deleted,
or its spec names another alias or server. An alias without an owner goes to the deployment with the lowest (creation
time, namespace, name), so that the decision is the same after every restart of the operator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

REVISION_SEPARATOR = "--"


@dataclasses.dataclass(frozen=True)
class AliasClaim:
    """A deployment's claim to an alias; ``created_at`` is an RFC 3339 time in UTC, which sorts as text."""

    uid: str
    namespace: str
    name: str
    created_at: str
    alias: str

    @property
    def precedence(self) -> tuple[str, str, str]:
        """Return the sort key that decides between claims: the lowest wins."""
        return (self.created_at, self.namespace, self.name)


def explain_bad_alias(alias: str, served_base_name: str) -> str | None:
    """Return why no deployment may have this alias; None if one may."""
    if alias == served_base_name:
        return f"modelName {alias!r} is the name of the base model, which clients cannot use. Choose another name."
    if REVISION_SEPARATOR in alias:
        return (
            f"modelName {alias!r} must not contain {REVISION_SEPARATOR!r}, which separates the alias from the digest in"
            " the names of revisions. Choose another name."
        )
    return None


def decide_owners(claims: Iterable[AliasClaim], last_owners: Mapping[str, str]) -> dict[str, AliasClaim]:
    """Return alias → the claim that owns it.

    Args:
        claims: one claim of every deployment that may use the server.
        last_owners: alias → deployment UID of the last written plan.
    """
    owners: dict[str, AliasClaim] = {}
    for claim in sorted(claims, key=lambda claim: claim.precedence):
        holder = last_owners.get(claim.alias)
        if claim.alias not in owners or claim.uid == holder:
            owners[claim.alias] = claim
    return owners
