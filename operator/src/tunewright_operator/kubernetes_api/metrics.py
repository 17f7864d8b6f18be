"""The metrics of the Kubernetes client, served at ``/metrics`` with those of the operator."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

API_REQUESTS: Final = Counter(
    "tunewright_operator_api_requests_total",
    "Requests to the API server by HTTP status; error: no answer.",
    ["verb", "kind", "code"],
)
API_SECONDS: Final = Histogram(
    "tunewright_operator_api_request_seconds",
    "Duration of a request to the API server, without the wait for the rate limit.",
    ["verb", "kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
THROTTLED_SECONDS: Final = Counter(
    "tunewright_operator_api_throttled_seconds_total",
    "Seconds for which requests waited for the client's own rate limit.",
)
EVENTS_DROPPED: Final = Counter(
    "tunewright_operator_events_dropped_total",
    "Kubernetes Events that were not written: object_limit, queue_full, not_leading, refused, unavailable, stopped.",
    ["reason"],
)
WATCH_RESTARTS: Final = Counter(
    "tunewright_operator_watch_restarts_total",
    "Watches that began again: ended (after their time), expired (everything is listed again), silent, error.",
    ["kind", "reason"],
)
