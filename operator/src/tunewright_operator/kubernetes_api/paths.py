"""The paths of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from tunewright_operator.api.kinds import Kind


def build_path(kind: Kind, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """Return the path of an object, or without a name that of all objects of the kind, in a namespace or in all."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if kind.namespaced and namespace else ""
    address = f"/{quote(name, safe='')}" if name else ""
    return f"{root}{scope}/{kind.plural}{address}" + (f"/{subresource}" if subresource else "")


def format_selector(wanted: Mapping[str, str]) -> str:
    """Return a label selector or a field selector that requires all the values."""
    return ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))
