"""What the API server's admission does to the pods of our Jobs: it refuses them, or changes their resources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from tunewright_operator.domain.sentences import join_sentences

FAILED_CREATE: Final = "FailedCreate"
"""The reason of the Event with which a controller reports that the API server refused a pod."""
_PREFIX: Final = "Error creating: "
"""What the Job controller and the ReplicaSet controller put before the API server's message."""


def read_refusals(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the API server's message in the newest Event of each controller, by the controller's UID."""
    ordered = sorted(events, key=_last_seen)
    return {
        event["involvedObject"]["uid"]: str(event.get("message") or "").removeprefix(_PREFIX).strip()
        for event in ordered
        if (event.get("involvedObject") or {}).get("uid")
    }


def describe_changes(template: Mapping[str, Any], pod: Mapping[str, Any], names: Collection[str]) -> str:
    """Return a sentence on the resources of our container that differ from those in the pod template; empty if none do.

    A LimitRange sets what a template leaves out, and a policy may change anything.
    """
    asked, given = _find_resources(template.get("spec"), names), _find_resources(pod.get("spec"), names)
    if asked is None or given is None:
        return ""
    changes = [
        f"{field}.{resource} is {given[field].get(resource, 'unset')} instead of {asked[field].get(resource, 'unset')}"
        for field in ("limits", "requests")
        for resource in sorted(given[field].keys() | asked[field].keys())
        if given[field].get(resource) != asked[field].get(resource)
        and not (field == "requests" and _follows_limit(resource, asked, given))
    ]
    if not changes:
        return ""
    return join_sentences(f"A limit range or an admission policy changed the pod's resources: {', '.join(changes)}")


def _find_resources(spec: Mapping[str, Any] | None, names: Collection[str]) -> dict[str, dict[str, str]] | None:
    for container in (spec or {}).get("containers") or []:
        if container.get("name") in names:
            resources = container.get("resources") or {}
            limits = dict(resources.get("limits") or {})
            # As the API server does: a request that is left out is the limit.
            return {"limits": limits, "requests": {**limits, **(resources.get("requests") or {})}}
    return None


def _follows_limit(
    resource: str, asked: Mapping[str, Mapping[str, str]], given: Mapping[str, Mapping[str, str]]
) -> bool:
    """Return whether a request changed only with its limit, which is reported."""
    limit = given["limits"].get(resource)
    return limit != asked["limits"].get(resource) and given["requests"].get(resource) == limit


def _last_seen(event: Mapping[str, Any]) -> str:
    """Return the time of an Event's last occurrence; RFC 3339 in UTC sorts as text."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    created = event.get("metadata", {}).get("creationTimestamp")
    return max((str(time) for time in (*times, created) if time), default="")
