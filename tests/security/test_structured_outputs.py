"""A client lets vLLM compile something that takes minutes, in the process that answers all clients."""

import pytest

import support.worlds.server_world as world
from support.worlds.server_world import refused

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
BODIES = {
    CHAT: {"model": "support", "messages": [{"role": "user", "content": "hello"}]},
    COMPLETIONS: {"model": "support", "prompt": "hello"},
}
SCHEMA = {"type": "object", "properties": {"queue": {"type": "string"}}}


def schema(value):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": value}}}


def tool(parameters=SCHEMA, **function):
    return {"type": "function", "function": {"name": "find", "parameters": parameters, **function}}


CONSTRAINED = [
    schema(SCHEMA),
    {"structured_outputs": {"json": SCHEMA}},
    {"structured_outputs": {"regex": "[a-z]+"}},
    {"structured_outputs": {"choice": ["a", "b"]}},
    {"structured_outputs": {"grammar": 'root ::= "a"'}},
    {"tools": [tool()], "tool_choice": "required"},
    {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "find"}}},
    {"tools": [tool(strict=True)]},
    {"tools": [tool(strict="true")]},
    {"tools": [tool(strict=1.0)], "tool_choice": "none"},
]
DEEP: dict = {}
for _ in range(60):
    DEEP = {"items": DEEP}
COSTLY = [
    schema({"type": "string", "pattern": "^(([a-z]{1,50}){1,50}){1,50}$"}),
    schema({"type": "string", "pattern": "a{1,1000000}"}),
    schema({"type": "string", "maxLength": 10**9}),
    schema({"type": "array", "minItems": 10**6, "items": {"type": "array", "minItems": 10**6}}),
    schema({"patternProperties": {"(a{1,99}){1,99}": {}}}),
    schema({"enum": ["x" * 20_000]}),
    schema({"properties": {f"p{number}": {"type": "string"} for number in range(5000)}}),
    schema(DEEP),
    schema({"$ref": "http://169.254.169.254/latest/meta-data"}),
    {"structured_outputs": {"json": '{"type":"string","pattern":"(a{1,99}){1,99}"}'}},
    {"structured_outputs": {"regex": "((((a{1,9}){1,9}){1,9}){1,9}){1,9}"}},
    {"structured_outputs": {"regex": "(" * 200 + "a" + ")" * 200}},
    {"structured_outputs": {"regex": "a" * 100_000}},
    {"structured_outputs": {"choice": ["x"] * 100_000}},
    {"structured_outputs": {"grammar": "root ::= a{1,999}\na ::= b{1,999}\nb ::= [a-z]{1,999}"}},
    {"tools": [tool({"type": "string", "pattern": "(a{1,99}){1,99}"}, strict=True)]},
    {"tools": [tool({"type": "string", "maxLength": 10**9})], "tool_choice": "required"},
]


async def allow(pod):
    plan = world.make_plan(9, [pod.stable], [world.make_route((pod.stable, 100))], structured_outputs=True)
    assert (await pod.push(plan)).status_code == 200
    await pod.settled()


def paths_of(fields):
    return [CHAT] if "tools" in fields else [CHAT, COMPLETIONS]


async def test_constraints_are_forbidden_by_default(pod):
    for fields in CONSTRAINED:
        for path in paths_of(fields):
            response = await pod.client.post(path, json={**BODIES[path], **fields})
            message = refused(response, 400, "structured_outputs_forbidden")
            assert "spec.structuredOutputs: Allowed" in message
            assert "json_object" in message
            assert response.json()["error"]["param"] in fields
    assert pod.vllm.requests == []


async def test_json_in_general_and_plain_tools_are_allowed(pod):
    for fields in (
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "text"}},
        {"tools": [tool()]},
        {"tools": [tool(strict=False), tool(strict=None)], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [tool()], "tool_choice": "none"},
    ):
        for path in paths_of(fields):
            assert (await pod.client.post(path, json={**BODIES[path], **fields})).status_code == 200
            sent = pod.vllm.requests.pop()
            assert {name: sent[name] for name in fields} == fields


async def test_constraints_reach_vllm_when_they_are_allowed(pod):
    await allow(pod)
    for fields in CONSTRAINED:
        for path in paths_of(fields):
            assert (await pod.client.post(path, json={**BODIES[path], **fields})).status_code == 200
            sent = pod.vllm.requests.pop()
            assert {name: sent[name] for name in fields} == fields


async def test_allowed_constraints_are_bounded(pod):
    await allow(pod)
    for fields in COSTLY:
        for path in paths_of(fields):
            response = await pod.client.post(path, json={**BODIES[path], **fields})
            message = refused(response, 400, "invalid_value")
            assert any(name in message for name in fields)
            assert len(message) < 600
    assert pod.vllm.requests == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_other_compilers_are_never_chosen_by_a_client(pod, allowed):
    if allowed:
        await allow(pod)
    for fields in (
        {"response_format": {"type": "structural_tag", "structures": [], "triggers": []}},
        {"structured_outputs": {"structural_tag": "{}"}},
        {"structured_outputs": {"json": SCHEMA, "_backend": "outlines"}},
        {"structured_outputs": {"json": SCHEMA, "whitespace_pattern": "( {1,999}){1,999}"}},
        {"guided_json": SCHEMA},
        {"guided_regex": "a"},
        {"guided_decoding_backend": "outlines"},
    ):
        for path in (CHAT, COMPLETIONS):
            assert (await pod.client.post(path, json={**BODIES[path], **fields})).status_code == 400
    assert pod.vllm.requests == []


async def test_the_permission_ends_with_the_plan_that_gives_it(pod):
    await allow(pod)
    plan = world.make_plan(10, [pod.stable], [world.make_route((pod.stable, 100))])
    assert (await pod.push(plan)).status_code == 200
    response = await pod.client.post(CHAT, json={**BODIES[CHAT], **schema(SCHEMA)})
    refused(response, 400, "structured_outputs_forbidden")
