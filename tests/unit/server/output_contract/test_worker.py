"""The worker's protocol: one JSON line in, one out."""

import json
import subprocess
import sys

import pytest

from tunewright_server.output_contract.worker import CheckOutcome, check_text, compile_schema

SCHEMA = {"type": "object", "required": ["queue"]}


def ask(*requests: dict) -> list[dict]:
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    command = [sys.executable, "-m", "tunewright_server.output_contract.worker"]
    result = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_schema_is_sent_once_and_then_referred_to_by_name():
    first, second, other = ask(
        {"id": "a", "schema": SCHEMA, "text": "{}"}, {"id": "a", "text": '{"queue": 1}'}, {"id": "b", "text": "{}"}
    )
    assert first == {"outcome": "breach", "known": True, "problem": ""}
    assert second == {"outcome": "pass", "known": True, "problem": ""}
    assert other == {"outcome": "unchecked", "known": False, "problem": ""}


def test_an_invalid_schema_is_remembered_so_that_it_is_not_sent_again():
    first, second = ask({"id": "a", "schema": {"type": "nonsense"}, "text": "{}"}, {"id": "a", "text": "{}"})
    assert (first["outcome"], first["known"]) == ("unchecked", True)
    assert "nonsense" in first["problem"]
    assert second == {"outcome": "unchecked", "known": True, "problem": ""}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [('{"queue": null}', CheckOutcome.PASS), ("{}", CheckOutcome.BREACH), ("prose", CheckOutcome.BREACH)],
)
def test_one_text(text, outcome):
    assert check_text(compile_schema(SCHEMA), text) is outcome


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "https://example.org/a.json"}])
def test_invalid_schemas_and_remote_references_are_refused(schema):
    with pytest.raises(ValueError, match=r"\S") as caught:
        compile_schema(schema)
    assert "\n" not in str(caught.value)
