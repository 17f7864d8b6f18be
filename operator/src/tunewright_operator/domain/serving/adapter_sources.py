"""Which adapters a namespace may serve from a ModelServer: `spec.adapterSources`.

The pool's credentials can read the prefixes of several tenants, so they must not decide what a tenant may serve. Each
pod checks the same rule again, from `ServingPlan.adapter_sources`.
"""

from __future__ import annotations

import dataclasses

from tunewright_contracts.serving_plan import AdapterSource
from tunewright_contracts.storage_uri import StorageURI, StorageURIError

NAMESPACE_PLACEHOLDER = "{namespace}"


@dataclasses.dataclass(frozen=True)
class SourcePolicy:
    """The prefixes of a server. Without prefixes, only the server's own namespace may serve, from any address."""

    server_namespace: str
    uri_prefixes: tuple[str, ...] = ()

    def prefixes_for(self, namespace: str) -> tuple[StorageURI, ...]:
        """Return the prefixes of a namespace; a prefix that is not a plain address allows nothing."""
        prefixes: list[StorageURI] = []
        for template in self.uri_prefixes:
            try:
                prefixes.append(StorageURI.parse(template.replace(NAMESPACE_PLACEHOLDER, namespace)))
            except StorageURIError:
                continue
        return tuple(prefixes)

    def explain_refusal(self, namespace: str, uri: str) -> str | None:
        """Return why a namespace may not serve an adapter; None when it may."""
        try:
            address = StorageURI.parse(uri)
        except StorageURIError as error:
            return f"The adapter's address is not plain: {error}. Write it as s3://bucket/prefix/sha256-<digest>."
        if not self.uri_prefixes:
            if namespace == self.server_namespace:
                return None
            return (
                f"{uri} may not be served from namespace {namespace!r}: the ModelServer has no adapterSources, so that"
                f" only its own namespace {self.server_namespace!r} may serve. Ask its owner to add a prefix for"
                f" {namespace!r}."
            )
        prefixes = self.prefixes_for(namespace)
        if any(address.is_within(prefix) for prefix in prefixes):
            return None
        allowed = ", ".join(str(prefix) for prefix in prefixes) or "nothing"
        return (
            f"{uri} may not be served from namespace {namespace!r}: the ModelServer's adapterSources allow {allowed}."
            " Publish the adapter below an allowed prefix, or ask the server's owner to add one."
        )

    def list_for_plan(self, uses: list[tuple[str, str]]) -> tuple[AdapterSource, ...]:
        """Return the rule in the form that pods check, for the (namespace, uri) pairs that it allows."""
        sources: set[tuple[str, str]] = set()
        for namespace, uri in uses:
            if self.uri_prefixes:
                sources.update((namespace, str(prefix)) for prefix in self.prefixes_for(namespace))
            else:
                sources.add((namespace, f"s3://{StorageURI.parse(uri).bucket}"))
        return tuple(AdapterSource(namespace=namespace, uri_prefix=prefix) for namespace, prefix in sorted(sources))
