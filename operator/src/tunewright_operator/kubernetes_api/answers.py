"""The API server's answers: decoded objects, and an error of the port for each refusal."""

from __future__ import annotations

import datetime as dt
import email.utils
import gc
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tunewright_operator.cluster import (
    AlreadyExistsError,
    Body,
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)

MAX_RETRY_AFTER_SECONDS: Final = 60.0
"""A proxy in front of the API server may ask for any time; the operator asks again after this one at the latest."""

LARGE_BYTES: Final = 65_536

_REFUSED_BY_ADMISSION: Final = re.compile(
    r"""admission\ webhook\ "[^"]*"\ denied | failed\ calling\ webhook | ValidatingAdmissionPolicy\ '[^']*'""",
    re.VERBOSE,
)
"""What the API server writes of a webhook or a policy; a webhook chooses the status, 404 and 503 included."""
_ERRORS_BY_REASON: Final[Mapping[tuple[int, str], type[ClusterError]]] = {
    # With another reason, or none, a 404 says nothing of the object: it is the answer of a proxy without a route, or of
    # an API server that does not serve the CRD yet.
    (404, "NotFound"): NotFoundError,
    (409, "AlreadyExists"): AlreadyExistsError,
}
_ERRORS_BY_STATUS: Final[Mapping[int, type[ClusterError]]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    405: InvalidError,
    409: ConflictError,
    410: ExpiredError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}
"""Any other status means that the server is unavailable."""


def encode(body: Body) -> bytes:
    """Return a body as JSON; orjson does not write more than 254 levels, which a status or a patch may have."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body).encode()


def decode(data: bytes) -> Any:
    """Return the value of a JSON document.

    orjson does not read more than 1024 levels. The API server accepts an object with 10 000, and every list of its kind
    then contains them: what orjson refuses is read by the slower parser, whose limit `__main__` sets.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _parse(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


def _parse(data: bytes) -> Any:
    """Parse JSON; a large list without the garbage collector, which would search its many new objects in vain."""
    if len(data) < LARGE_BYTES or not gc.isenabled():
        return orjson.loads(data)
    gc.disable()
    try:
        return orjson.loads(data)
    finally:
        gc.enable()


def decode_object(call: str, data: bytes) -> Body:
    """Return the object of an answer; ``call`` is for the error.

    Raises:
        UnavailableError: a proxy answered with something else.
    """
    try:
        decoded = decode(data)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise UnavailableError(f"{call}: the answer is not a JSON object")
    return decoded


def build_error(call: str, status: int, data: bytes, headers: Mapping[str, str], now: dt.datetime) -> ClusterError:
    """Return the error for an answer that refuses a request; the names of ``headers`` are in lower case."""
    try:
        answer = decode(data)
        message, reason = str(answer.get("message") or ""), str(answer.get("reason") or "")
    except (ValueError, AttributeError):
        message, reason = data[:200].decode(errors="replace"), ""
    error = _ERRORS_BY_REASON.get((status, reason)) or _ERRORS_BY_STATUS.get(status, UnavailableError)
    if _REFUSED_BY_ADMISSION.search(message):
        error = ForbiddenError
    text = f"{call}: {status} {reason}: {message}"
    if issubclass(error, UnavailableError):
        return error(text, retry_after=read_retry_after(headers.get("retry-after", ""), now))
    return error(text)


def read_retry_after(value: str, now: dt.datetime) -> float:
    """Return the seconds of a header Retry-After, at most `MAX_RETRY_AFTER_SECONDS`; 0 if it has none.

    The value is a number of seconds, or the time of an HTTP date (RFC 9110, section 10.2.3).
    """
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = (email.utils.parsedate_to_datetime(value) - now).total_seconds()
        except (ValueError, TypeError):  # Not a date, or one without a time zone.
            return 0.0
    return min(MAX_RETRY_AFTER_SECONDS, max(0.0, seconds))
