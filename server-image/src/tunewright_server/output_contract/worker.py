"""The process that runs schemas written by tenants: ``python -m tunewright_server.output_contract.worker``.

For each check it reads one JSON line from standard input, ``{"id", "schema", "text"}``, and writes ``{"outcome",
"known", "problem"}``. A schema is sent once and then referred to by its ID. If a check needs more CPU time than its
limit, the kernel kills the process (SIGVTALRM has no handler), because compiled code cannot be stopped in another way.
Unlike a limit on the clock, a limit on CPU time is fair on a busy machine. The parent starts another process.
"""

from __future__ import annotations

import signal
import sys
from enum import StrEnum
from typing import Any

import jsonschema_rs
import orjson

CPU_SECONDS = 0.05
"""The limit of user CPU time to check one answer."""
COMPILE_CPU_SECONDS = 0.5
"""The limit of user CPU time to compile a schema, once."""
_MAX_VALIDATORS = 256


class CheckOutcome(StrEnum):
    """Whether an answer satisfies its contract."""

    PASS = "pass"  # noqa: S105 - not a password
    BREACH = "breach"
    UNCHECKED = "unchecked"
    """It could not be checked within the limits, which is no evidence for or against the revision."""


def compile_schema(schema: dict[str, Any]) -> Any:
    """Return a validator without network access, whose regular expressions run in linear time.

    Raises:
        ValueError: it is not a JSON Schema.
    """
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions(), retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"the schema refers to {uri}, which is not fetched; include it in the schema")


def check_text(validator: Any, text: str) -> CheckOutcome:
    """Return the outcome of one answer: a breach if it is not JSON or does not match the schema."""
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
