"""Keep the route of a deployment that this operator cannot read, for example after a downgrade."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.serving_plan import AdapterEntry, ServingPlan
from tunewright_operator.domain.serving.aliases import REVISION_SEPARATOR
from tunewright_operator.domain.serving.claim import ServerView, Tenant


def list_kept(server: ServerView, tenant: Tenant, before: Mapping[str, AdapterEntry]) -> frozenset[str]:
    """Return the revisions that stay loaded for a deployment that cannot be read.

    They include revisions that are no target of its route: a candidate at weight 0, or the incumbent during a bake.
    """
    if tenant.kept_route is None:
        return frozenset()
    namespace, prefix = tenant.claim.namespace, f"{tenant.claim.alias}{REVISION_SEPARATOR}"
    own = [entry for name, entry in before.items() if name.startswith(prefix) and entry.namespace == namespace]
    return frozenset(entry.name for entry in own if server.sources.explain_refusal(namespace, entry.uri) is None)


def keep_route(server: ServerView, tenant: Tenant, previous: ServingPlan | None) -> Tenant:
    """Return the tenant, without the targets of its kept route if the server no longer allows one of them."""
    if tenant.kept_route is None or previous is None:
        return tenant
    entries = {entry.name: entry for entry in previous.adapters}
    allowed = list_kept(server, tenant, entries)
    if all(target.name in allowed for target in tenant.kept_route.targets):
        return tenant
    return dataclasses.replace(tenant, kept_route=tenant.kept_route.updated(targets=(), fallback=""))
