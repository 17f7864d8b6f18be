"""The process that runs schemas written by tenants: ``python -m tunewright_server.output_contract.worker``.

It reads one JSON line a check from standard input, ``{"id", "schema", "text"}``, and writes ``{"outcome", "known",
"problem"}``. The schema is sent once and then named by its id. A check that takes more than its share of processor time
is ended by the kernel together with the process (SIGVTALRM has no handler): compiled code cannot be stopped in another
way, and a limit on processor time, unlike one on the clock, is fair on a busy machine. The parent starts another one.
"""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from typing import Any

import jsonschema_rs
import orjson

CPU_SECONDS = 0.05
"""Of user time, for one answer."""
COMPILE_CPU_SECONDS = 0.5
"""Of user time, for one schema: it is compiled once."""
_MAX_VALIDATORS = 256


class CheckOutcome(StrEnum):
    """Whether an answer keeps its contract."""

    PASS = "pass"  # noqa: S105 - no password
    BREACH = "breach"
    UNCHECKED = "unchecked"
    """It could not be checked, or not within the limits; that is no evidence for or against the revision."""


def compile_schema(schema: dict[str, Any]) -> Any:
    """Return a validator without network access and with regular expressions of linear time only.

    Raises:
        ValueError: it is no JSON Schema.
    """
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(), retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"remote reference {uri} is not followed")


def check_text(validator: Any, text: str) -> CheckOutcome:
    """Return the outcome of one answer: a breach when it is no JSON or breaks the schema."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return CheckOutcome.BREACH
    return CheckOutcome.PASS if validator.is_valid(value) else CheckOutcome.BREACH


def main() -> None:
    """Answer checks until standard input ends."""
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    validators: dict[str, Any] = {}
    for line in sys.stdin.buffer:
        request, problem = orjson.loads(line), ""
        key = request["id"]
        if "schema" in request:
            if len(validators) >= _MAX_VALIDATORS:
                validators.clear()
            signal.setitimer(signal.ITIMER_VIRTUAL, COMPILE_CPU_SECONDS)
            try:
                validators[key] = compile_schema(request["schema"])
            except ValueError as error:
                validators[key], problem = None, str(error)
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
        validator = validators.get(key)
        outcome = CheckOutcome.UNCHECKED if validator is None else check_text(validator, request["text"])
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        sys.stdout.buffer.write(
            orjson.dumps({"outcome": outcome, "known": key in validators, "problem": problem}) + b"\n"
        )
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
