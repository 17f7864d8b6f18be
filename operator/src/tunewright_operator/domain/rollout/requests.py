"""Requests of a person by annotation: ``tunewright.dev/<verb>: <revision>@<nonce>``.

A request is handled once: its value is recorded in the status by the same write that carries its effect, so that a
repeated or stale one does nothing and an interrupted one is not lost. The nonce lets the same request be made again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_operator.api.adapter_deployment import HandledRequest, Verb

MAX_VALUE_LENGTH = 256
"""What a status keeps of an annotation's value; a longer one is told apart by its beginning."""

ORDER = (Verb.ABORT, Verb.ROLLBACK, Verb.RETRY, Verb.PROMOTE)
"""Abort beats promote: when both wait, the careful one wins."""


@dataclasses.dataclass(frozen=True)
class Request:
    """One verb asked of one revision; ``revision`` is empty when the annotation cannot be read."""

    verb: Verb
    value: str
    revision: str

    def handled_at(self, now: str) -> HandledRequest:
        """Return the record that this request was handled."""
        return HandledRequest(verb=self.verb, value=self.value, at=now)


def list_pending(annotations: Mapping[str, str], handled: tuple[HandledRequest, ...]) -> tuple[Request, ...]:
    """Return the requests that were not handled yet, in the order in which they are to be handled."""
    done = {request.verb: request.value for request in handled}
    pending: list[Request] = []
    for verb in ORDER:
        value = annotations.get(verb.annotation, "")[:MAX_VALUE_LENGTH]
        if value and done.get(verb) != value:
            revision, separator, nonce = value.partition("@")
            pending.append(Request(verb, value, revision if separator and nonce else ""))
    return tuple(pending)


def record_handled(handled: tuple[HandledRequest, ...], request: Request, now: str) -> tuple[HandledRequest, ...]:
    """Return the records with this request as its verb's last one."""
    others = [entry for entry in handled if entry.verb is not request.verb]
    return tuple(sorted([*others, request.handled_at(now)], key=lambda entry: ORDER.index(entry.verb)))
