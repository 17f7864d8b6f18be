"""Answers that the client constrains, by a schema, a pattern, a grammar or a forced tool; and plain tools.

vLLM compiles a constraint before it answers, in the process that answers all clients. So constraints need
``ModelServer.spec.structuredOutputs: Allowed`` and are bounded. JSON in general and tools without a constraint compile
nothing of the client's.
"""

from __future__ import annotations

from typing import Any, NoReturn

import orjson

from tunewright_server.http.errors import RefusalCode, RefusalError, top_level
from tunewright_server.http.lenient import read_boolean
from tunewright_server.http.request_fields.schemas import check_choice, check_grammar, check_pattern, check_schema
from tunewright_server.http.request_fields.values import (
    Limits,
    nests_deeper,
    read_list,
    read_object,
    read_text,
    refuse,
    refuse_found,
)
from tunewright_server.request_limits import MAX_NESTING, MAX_SCHEMA_BYTES, MAX_TOOL_SCHEMA_BYTES, MAX_TOOLS

_FORMAT_KEYS = frozenset({"type", "json_schema"})
_NAMED_SCHEMA_KEYS = frozenset({"name", "description", "schema", "strict"})
_CONSTRAINTS = frozenset({"json", "regex", "choice", "grammar", "json_object"})
_TOOL_KEYS = frozenset({"type", "function"})
_FUNCTION_KEYS = frozenset({"name", "description", "parameters", "strict"})
_CHOICE_KEYS = frozenset({"type", "function"})
_NAME_KEYS = frozenset({"name"})
_NAME_CHARACTERS = 128
_DESCRIPTION_CHARACTERS = 1 << 20


def check_response_format(name: str, value: Any, limits: Limits) -> Any:
    """Check `response_format`: text, a JSON object, or, if allowed, a JSON schema."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        refuse(name, value, 'an object with the type "text", "json_object" or "json_schema"')
    read_object(name, value, _FORMAT_KEYS)
    if kind == "json_schema":
        _require(limits, f'{name} with type "json_schema"')
        named = read_object(f"{name}.json_schema", value.get("json_schema"), _NAMED_SCHEMA_KEYS)
        check_schema(f"{name}.json_schema.schema", named.get("schema"))
    elif value.get("json_schema") is not None:
        refuse(f"{name}.json_schema", value["json_schema"], 'it only with the type "json_schema"')
    return value


def check_structured_outputs(name: str, value: Any, limits: Limits) -> Any:
    """Check vLLM's `structured_outputs`, which constrains an answer in one way."""
    _require(limits, name)
    read_object(name, value, _CONSTRAINTS)
    given = {key: constraint for key, constraint in value.items() if constraint is not None}
    if len(given) != 1:
        refuse_found(name, f"a group of {len(given)} constraints", f"exactly one of {', '.join(sorted(_CONSTRAINTS))}")
    ((kind, constraint),) = given.items()
    path = f"{name}.{kind}"
    match kind:
        case "json":
            check_schema(path, _parse_schema(path, constraint))
        case "regex":
            check_pattern(path, constraint)
        case "choice":
            check_choice(path, constraint)
        case "grammar":
            check_grammar(path, constraint)
        case _:
            if read_boolean(constraint) is not True:
                refuse(path, constraint, "true")
    return value


def check_tools(name: str, value: Any, limits: Limits) -> Any:
    """Check the tools that the model may call; `strict` makes an answer follow the schema of their parameters."""
    for place, tool in enumerate(read_list(name, value, MAX_TOOLS, "tools")):
        path = f"{name}[{place}]"
        read_object(path, tool, _TOOL_KEYS)
        if tool.get("type", "function") != "function":
            refuse(f"{path}.type", tool["type"], '"function"')
        function = read_object(f"{path}.function", tool.get("function"), _FUNCTION_KEYS)
        read_text(f"{path}.function.name", function.get("name"), _NAME_CHARACTERS)
        if function.get("description"):
            read_text(f"{path}.function.description", function["description"], _DESCRIPTION_CHARACTERS)
        parameters = function.get("parameters")
        if parameters is not None and not isinstance(parameters, dict):
            refuse(f"{path}.function.parameters", parameters, "a JSON schema, which is an object")
        if nests_deeper(parameters, MAX_NESTING):
            _refuse_nesting(f"{path}.function.parameters")
        strict = False if function.get("strict") is None else read_boolean(function["strict"])
        if strict is None:
            refuse(f"{path}.function.strict", function["strict"], "true or false")
        if strict:
            _require(limits, f"{path}.function.strict")
    return value


def check_tool_choice(name: str, value: Any, limits: Limits) -> Any:
    """Check which tool the model calls; a forced one makes an answer follow the schema of its parameters."""
    if value in ("none", "auto"):
        return value
    if value == "required":
        _require(limits, f'{name} "required"')
        return value
    if not isinstance(value, dict):
        refuse(name, value, '"none", "auto", "required" or {"type": "function", "function": {"name": …}}')
    read_object(name, value, _CHOICE_KEYS)
    _require(limits, f"{name} with the name of a tool")
    if value.get("type", "function") != "function":
        refuse(f"{name}.type", value["type"], '"function"')
    function = read_object(f"{name}.function", value.get("function"), _NAME_KEYS)
    read_text(f"{name}.function.name", function.get("name"), _NAME_CHARACTERS)
    return value


def check_tool_schemas(data: dict[str, Any]) -> None:
    """Check the schemas of tools that constrain an answer, because one is strict or a call is forced.

    Args:
        data: a request whose `tools` and `tool_choice` have been checked.

    Raises:
        RefusalError: 400; they are too large to be compiled.
    """
    functions = [tool["function"] for tool in data.get("tools") or ()]
    forced = data.get("tool_choice") not in (None, "none", "auto")
    if not forced and not any(read_boolean(function.get("strict")) for function in functions):
        return
    for place, function in enumerate(functions):
        if function.get("parameters") is not None:
            check_schema(f"tools[{place}].function.parameters", function["parameters"], MAX_SCHEMA_BYTES)
    size = sum(len(orjson.dumps(function.get("parameters"))) for function in functions)
    if size > MAX_TOOL_SCHEMA_BYTES:
        refuse_found("tools", f"a list with {size} bytes of schemas", f"at most {MAX_TOOL_SCHEMA_BYTES}")


def _parse_schema(name: str, given: Any) -> Any:
    """Return a schema that was given as an object or as its JSON text."""
    if not isinstance(given, str):
        return given
    read_text(name, given, MAX_SCHEMA_BYTES)
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        refuse(name, given, "a JSON schema, which is an object")


def _refuse_nesting(name: str) -> NoReturn:
    refuse_found(name, "nested too deeply", f"at most {MAX_NESTING} objects and lists inside each other")


def _require(limits: Limits, what: str) -> None:
    if not limits.structured_outputs:
        raise RefusalError(
            400,
            RefusalCode.STRUCTURED_OUTPUTS_FORBIDDEN,
            f"This server does not allow {what}, which constrains the answer; its owner can set"
            " spec.structuredOutputs: Allowed of the ModelServer. Without it, send"
            ' response_format {"type": "json_object"}, or tools that are neither strict nor forced',
            param=top_level(what.partition(" ")[0]),
        )
