"""Constraints of answers need the server's permission; plain tools and JSON in general do not."""

import pytest

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_fields.structured import (
    check_response_format,
    check_structured_outputs,
    check_tool_choice,
    check_tool_schemas,
    check_tools,
)
from tunewright_server.http.request_fields.values import Limits

FORBIDDEN, ALLOWED = Limits(64, structured_outputs=False), Limits(64, structured_outputs=True)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NAMED = {"type": "function", "function": {"name": "find"}}


def tool(**function):
    return {"type": "function", "function": {"name": "find", "parameters": SCHEMA, **function}}


def json_schema(schema=SCHEMA, **more):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


CONSTRAINED = [
    (check_response_format, json_schema()),
    (check_response_format, json_schema(strict=True)),
    (check_structured_outputs, {"json": SCHEMA}),
    (check_structured_outputs, {"json": '{"type":"object"}'}),
    (check_structured_outputs, {"regex": "[0-9]{4}"}),
    (check_structured_outputs, {"choice": ["yes", "no"]}),
    (check_structured_outputs, {"grammar": 'root ::= "yes"'}),
    (check_structured_outputs, {"json_object": True, "regex": None}),
    (check_tool_choice, "required"),
    (check_tool_choice, NAMED),
    (check_tools, [tool(), tool(strict=True)]),
    (check_tools, [tool(strict="yes")]),
    (check_tools, [tool(strict=1)]),
]


@pytest.mark.parametrize(("check", "value"), CONSTRAINED)
def test_a_constraint_needs_permission(check, value):
    assert check("tools", value, ALLOWED) == value
    with pytest.raises(RefusalError, match=r"spec\.structuredOutputs: Allowed") as caught:
        check("tools", value, FORBIDDEN)
    assert (caught.value.status, caught.value.code) == (400, RefusalCode.STRUCTURED_OUTPUTS_FORBIDDEN)
    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_response_format, {"type": "text"}),
        (check_response_format, {"type": "json_object", "json_schema": None}),
        (check_tool_choice, "none"),
        (check_tool_choice, "auto"),
        (check_tools, [tool(), tool(strict=False), tool(strict=None, description="", parameters=None)]),
        (check_tools, [{"function": {"name": "find"}}]),
    ],
)
def test_what_needs_no_permission(check, value):
    assert check("x", value, FORBIDDEN) == value


DEEP: dict = {}
for _ in range(70):
    DEEP = {"items": DEEP}


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_response_format, "json_object"),
        (check_response_format, {"type": ["json_object"]}),
        (check_response_format, {"type": "structural_tag", "format": {}}),
        (check_response_format, {"type": "json_object", "json_schema": {"schema": SCHEMA}}),
        (check_response_format, {"type": "json_object", "schema": SCHEMA}),
        (check_response_format, {"type": "json_schema"}),
        (check_response_format, json_schema(None)),
        (check_response_format, json_schema(backend="outlines")),
        (check_structured_outputs, {}),
        (check_structured_outputs, {"json": SCHEMA, "regex": "a"}),
        (check_structured_outputs, {"json": "no schema"}),
        (check_structured_outputs, {"json": "[" * 1000}),
        (check_structured_outputs, {"json_object": False}),
        (check_structured_outputs, {"structural_tag": "{}"}),
        (check_structured_outputs, {"regex": "a", "_backend": "outlines"}),
        (check_tool_choice, ["required"]),
        (check_tool_choice, "Required"),
        (check_tool_choice, True),
        (check_tool_choice, {"type": "allowed_tools", "allowed_tools": {}}),
        (check_tool_choice, {"type": "custom", "function": {"name": "find"}}),
        (check_tool_choice, {"function": {"name": ""}}),
        (check_tools, {"0": tool()}),
        (check_tools, [tool()] * 129),
        (check_tools, ["find"]),
        (check_tools, [{"type": "custom", "function": {"name": "find"}}]),
        (check_tools, [{"type": "function"}]),
        (check_tools, [tool(strict="maybe")]),
        (check_tools, [tool(defer_loading=True)]),
        (check_tools, [tool(parameters="{}")]),
        (check_tools, [tool(parameters=DEEP)]),
        (check_tools, [tool(description=["x"])]),
    ],
)
def test_values_that_are_never_accepted(check, value):
    for limits in (FORBIDDEN, ALLOWED):
        with pytest.raises(RefusalError) as caught:
            check("x", value, limits)
        assert caught.value.status == 400


HUGE = {"type": "string", "pattern": "(a{99}){99}"}


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        ({}, False),
        ({"tools": [tool(parameters=HUGE)]}, False),
        ({"tools": [tool(parameters=HUGE)], "tool_choice": "auto"}, False),
        ({"tools": [tool(parameters=HUGE)], "tool_choice": "required"}, True),
        ({"tools": [tool(parameters=HUGE)], "tool_choice": NAMED}, True),
        ({"tools": [tool(strict=True), tool(parameters=HUGE)]}, True),
        ({"tools": [tool(strict=True), tool(parameters=None)], "tool_choice": "required"}, False),
        ({"tools": [tool(parameters={"enum": ["x" * 15_000]})] * 5, "tool_choice": "required"}, True),
        ({"tools": [tool(parameters={"enum": ["x" * 15_000]})] * 4, "tool_choice": "required"}, False),
    ],
)
def test_schemas_of_tools_are_bounded_if_they_constrain_the_answer(data, refused):
    if not refused:
        check_tool_schemas(data)
        return
    with pytest.raises(RefusalError, match="tools"):
        check_tool_schemas(data)
