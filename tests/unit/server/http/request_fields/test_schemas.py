"""What vLLM would compile is bounded."""

import orjson
import pytest

from tunewright_server.http.errors import RefusalError
from tunewright_server.http.request_fields import schemas

DEEP: dict = {}
for _ in range(40):
    DEEP = {"items": DEEP}
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (True, "a JSON schema, which is an object"),
        ([TEXT], "a JSON schema, which is an object"),
        (None, "a JSON schema, which is an object"),
        (DEEP, "nested on more than 32 levels"),
        ({"enum": ["x" * 20_000]}, "has 200.. bytes, and at most 16384"),
        ({**TEXT, "maxLength": 1001}, "maxLength 1001, and at most 1000"),
        ({"type": "array", "minItems": 1e9}, "minItems 1000000000.0"),
        ({"properties": {"a": {"items": {**TEXT, "maxLength": 10**6}}}}, "maxLength"),
        ({"anyOf": [TEXT, {"type": "object", "maxProperties": 5000}]}, "maxProperties"),
        ({"$ref": "http://10.0.0.1/schema"}, "refers to 'http://10.0.0.1/schema'"),
        ({"$defs": {"a": {"$dynamicRef": "file:///etc/passwd"}}}, "refers to"),
        ({**TEXT, "pattern": "^(a{1,99}){1,99}$"}, "counted repetitions"),
        ({**TEXT, "pattern": "a" * 513}, "513 characters"),
        ({"patternProperties": {"^[a-z]{1,5000}$": TEXT}}, "counted repetitions"),
        ({"properties": {"enum": {**TEXT, "pattern": "(a{99}){99}"}}}, "counted repetitions"),
    ],
)
def test_a_schema_that_is_too_large(schema, problem):
    with pytest.raises(RefusalError, match=problem) as caught:
        schemas.check_schema("response_format.json_schema.schema", schema)
    assert (caught.value.status, caught.value.param) == (400, "response_format")


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"queue": {"enum": ["billing", "other"]}}, "required": ["queue"]},
        {"$defs": {"node": {"items": {"$ref": "#/$defs/node"}}}, "$ref": "#/$defs/node"},
        {**TEXT, "maxLength": 1000, "pattern": "^[A-Z]{2}-[0-9]{1,10}$"},
        {"properties": {"pattern": TEXT, "maxLength": {"type": "integer"}, "$ref": TEXT}},
        {"enum": [{"pattern": "(a{99}){99}"}], "examples": [{"maxLength": 10**9}]},
    ],
)
def test_ordinary_schemas(schema):
    schemas.check_schema("x", schema)


def test_another_limit_of_size():
    schema = {"description": "x" * 20_000}
    schemas.check_schema("x", schema, len(orjson.dumps(schema)))


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (schemas.check_pattern, 1),
        (schemas.check_pattern, "(a{99}){99}"),
        (schemas.check_grammar, None),
        (schemas.check_grammar, ""),
        (schemas.check_grammar, "x" * 8193),
        (schemas.check_grammar, "root ::= a{1,99}\na ::= b{1,99}"),
        (schemas.check_choice, "yes"),
        (schemas.check_choice, [1]),
        (schemas.check_choice, ["x"] * 257),
        (schemas.check_choice, ["x" * 9000, "y" * 9000]),
    ],
)
def test_other_constraints_that_are_wrong_or_too_large(check, value):
    with pytest.raises(RefusalError, match="structured_outputs"):
        check("structured_outputs.x", value)


def test_other_constraints():
    schemas.check_pattern("x", "^[0-9]{4}$")
    schemas.check_grammar("x", 'root ::= "yes" | "no"')
    schemas.check_choice("x", ["yes", "no"])
