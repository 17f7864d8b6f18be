"""Manual requests by annotation: ``tunewright.dev/<verb>: <revision>@<request ID>``.

A request is handled once. The same write records its value and its effect in the status, so that a repeated or stale
request does nothing and an interrupted one is not lost. A new request ID repeats the same request.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.values import show
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, HandledRequest, Verb
from tunewright_operator.domain.sentences import join_sentences

MAX_VALUE_LENGTH = 256
"""What a status records of an annotation's value; longer values are compared by their beginning."""
MAX_MESSAGE = 1024
"""The CRD's limit on the message of a handled request."""

ORDER = (Verb.ABORT, Verb.ROLLBACK, Verb.RETRY, Verb.PROMOTE)
"""The order in which pending requests are handled; the safest comes first."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A verb and its revision; ``revision`` is empty if the annotation cannot be read."""

    verb: Verb
    value: str
    revision: str

    @property
    def text(self) -> str:
        """The annotation as a user writes it."""
        return f"{self.verb.annotation}={self.value}"

    def handled_at(self, now: str, message: str) -> HandledRequest:
        """Return the record that this request was handled; ``message``: why it did nothing."""
        return HandledRequest(verb=self.verb, value=self.value, at=now, message=show(message, MAX_MESSAGE))


def list_pending(annotations: Mapping[str, str], handled: tuple[HandledRequest, ...]) -> tuple[Request, ...]:
    """Return the requests that were not handled yet, in the order of handling."""
    done = {request.verb: request.value for request in handled}
    pending: list[Request] = []
    for verb in ORDER:
        value = _read_value(annotations, verb)
        if value and done.get(verb) != value:
            revision, _, request_id = value.partition("@")
            pending.append(Request(verb, value, revision if request_id else ""))
    return tuple(pending)


def record_handled(
    handled: tuple[HandledRequest, ...], request: Request, now: str, message: str
) -> tuple[HandledRequest, ...]:
    """Return the records with this request as the last one of its verb."""
    others = [entry for entry in handled if entry.verb is not request.verb]
    return tuple(sorted([*others, request.handled_at(now, message)], key=lambda entry: ORDER.index(entry.verb)))


def find_kept_promotion(status: AdapterDeploymentStatus, annotations: Mapping[str, str]) -> str | None:
    """Return the promote request that is kept for the candidate; a user takes it back by removing the annotation."""
    kept = status.candidate.kept_promotion if status.candidate is not None else None
    return kept if kept is not None and _read_value(annotations, Verb.PROMOTE) == kept else None


def describe_requests(status: AdapterDeploymentStatus, annotations: Mapping[str, str]) -> str:
    """Return sentences on the requests that wait or did nothing, for a condition; empty if there are none.

    A request that did nothing is shown until its annotation is changed or removed, or another rollout begins or ends.
    """
    since = status.history[0].to if status.history else ""
    if status.candidate is not None:
        since = status.candidate.accepted_at
    texts = [
        entry.message
        for entry in status.last_handled_requests
        if entry.message and entry.at >= since and _read_value(annotations, entry.verb) == entry.value
    ]
    candidate = status.candidate.revision if status.candidate is not None else ""
    texts += [
        f"{request.text} waits until {request.revision} is the candidate."
        for request in list_pending(annotations, status.last_handled_requests)
        if request.verb is Verb.PROMOTE and request.revision not in {"", candidate}
    ]
    kept = find_kept_promotion(status, annotations)
    if kept is not None:
        waiting = f"{Verb.PROMOTE.annotation}={kept} is kept until a step waits for a manual request."
        texts += [waiting, "To take it back, remove the annotation."]
    return join_sentences(*texts)


def _read_value(annotations: Mapping[str, str], verb: Verb) -> str:
    return annotations.get(verb.annotation, "")[:MAX_VALUE_LENGTH]
