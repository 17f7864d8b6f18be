"""The route of a deployment that this operator cannot read, say after a downgrade: it stays as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.serving_plan import AdapterEntry, ServingPlan
from tunewright_operator.domain.serving.aliases import REVISION_SEPARATOR
from tunewright_operator.domain.serving.claim import ServerView, Tenant


def list_kept(server: ServerView, tenant: Tenant, before: Mapping[str, AdapterEntry]) -> frozenset[str]:
    """Return what stays loaded for a deployment that cannot be read:
    a candidate, or the incumbent of a bake, has no target.
    """
    if tenant.kept_route is None:
        return frozenset()
    namespace, prefix = tenant.claim.namespace, f"{tenant.claim.alias}{REVISION_SEPARATOR}"
    own = [entry for name, entry in before.items() if name.startswith(prefix) and entry.namespace == namespace]
    return frozenset(entry.name for entry in own if server.sources.explain_refusal(namespace, entry.uri) is None)


def keep_route(server: ServerView, tenant: Tenant, previous: ServingPlan | None) -> Tenant:
    """Return an unread deployment without its targets when the server's owner has barred one of them since."""
    if tenant.kept_route is None or previous is None:
        return tenant
    entries = {entry.name: entry for entry in previous.adapters}
    allowed = list_kept(server, tenant, entries)
    if all(target.name in allowed for target in tenant.kept_route.targets):
        return tenant
    return dataclasses.replace(tenant, kept_route=tenant.kept_route.updated(targets=(), fallback=""))
