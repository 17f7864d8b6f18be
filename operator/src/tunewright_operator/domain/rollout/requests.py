"""Manual requests by annotation: ``tunewright.dev/<verb>: <revision>@<request ID>``.

A request is handled once. The same write records its value and its effect in the status, so that a repeated or stale
request does nothing and an interrupted one is not lost. A new request ID repeats the same request.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_operator.api.adapter_deployment import HandledRequest, Verb

MAX_VALUE_LENGTH = 256
"""What a status records of an annotation's value; longer values are compared by their beginning."""

ORDER = (Verb.ABORT, Verb.ROLLBACK, Verb.RETRY, Verb.PROMOTE)
"""The order in which pending requests are handled; the safest comes first."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A verb and its revision; ``revision`` is empty if the annotation cannot be read."""

    verb: Verb
    value: str
    revision: str

    def handled_at(self, now: str) -> HandledRequest:
        """Return the record that this request was handled."""
        return HandledRequest(verb=self.verb, value=self.value, at=now)


def list_pending(annotations: Mapping[str, str], handled: tuple[HandledRequest, ...]) -> tuple[Request, ...]:
    """Return the requests that were not handled yet, in the order of handling."""
    done = {request.verb: request.value for request in handled}
    pending: list[Request] = []
    for verb in ORDER:
        value = annotations.get(verb.annotation, "")[:MAX_VALUE_LENGTH]
        if value and done.get(verb) != value:
            revision, _, request_id = value.partition("@")
            pending.append(Request(verb, value, revision if request_id else ""))
    return tuple(pending)


def record_handled(handled: tuple[HandledRequest, ...], request: Request, now: str) -> tuple[HandledRequest, ...]:
    """Return the records with this request as the last one of its verb."""
    others = [entry for entry in handled if entry.verb is not request.verb]
    return tuple(sorted([*others, request.handled_at(now)], key=lambda entry: ORDER.index(entry.verb)))
