"""Bounds of what vLLM compiles to a grammar before it answers: JSON schemas, patterns, texts and grammars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import orjson

from tunewright_server.http.errors import RefusalCode, RefusalError, top_level
from tunewright_server.http.request_fields import patterns
from tunewright_server.http.request_fields.values import nests_deeper, read_list, read_text, refuse
from tunewright_server.request_limits import (
    MAX_COUNT,
    MAX_GRAMMAR_CHARACTERS,
    MAX_OPTIONS,
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERN_SIZE,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_NESTING,
)

_COUNTS = (
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, in which nothing is a keyword."""


def check_schema(name: str, schema: Any, most_bytes: int = MAX_SCHEMA_BYTES) -> None:
    """Check that a JSON schema is small enough to be compiled.

    Args:
        name: the path of its field.
        schema: the schema.
        most_bytes: the largest size of its JSON text.

    Raises:
        RefusalError: 400; it is no object, or larger; the message names the keyword and the limit.
    """
    if not isinstance(schema, dict):
        refuse(name, schema, "a JSON schema, which is an object")
    if nests_deeper(schema, MAX_SCHEMA_NESTING):
        _refuse(name, f"is nested on more than {MAX_SCHEMA_NESTING} levels")
    size = len(orjson.dumps(schema))
    if size > most_bytes:
        _refuse(name, f"has {size} bytes, and at most {most_bytes} are allowed")
    for keywords in _walk(schema):
        _check_counts(name, keywords)
        _check_references(name, keywords)
        _check_patterns(name, keywords)


def _check_counts(name: str, keywords: dict[str, Any]) -> None:
    for keyword in _COUNTS:
        count = keywords.get(keyword)
        if isinstance(count, (int, float)) and count > MAX_COUNT:
            _refuse(name, f"has {keyword} {str(count)[:40]}, and at most {MAX_COUNT} is allowed")


def _check_references(name: str, keywords: dict[str, Any]) -> None:
    for keyword in _REFERENCES:
        target = keywords.get(keyword)
        if isinstance(target, str) and not target.startswith("#"):
            _refuse(name, f"refers to {target[:80]!r}; only references inside of the schema (#…) are allowed")


def _check_patterns(name: str, keywords: dict[str, Any]) -> None:
    if isinstance(keywords.get("pattern"), str):
        check_pattern(name, keywords["pattern"])
    if isinstance(keywords.get("patternProperties"), dict):
        for pattern in keywords["patternProperties"]:
            check_pattern(name, pattern)


def check_pattern(name: str, pattern: Any) -> None:
    """Check that a regular expression is small enough to be compiled.

    Raises:
        RefusalError: 400; it is no text, or larger.
    """
    if not isinstance(pattern, str):
        refuse(name, pattern, "a regular expression")
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        _refuse(name, f"has a pattern of {len(pattern)} characters, and at most {MAX_PATTERN_CHARACTERS} are allowed")
    if patterns.measure(pattern) > MAX_PATTERN_SIZE:
        _refuse(
            name,
            f"has the pattern {pattern[:80]!r}, which has more than {MAX_PATTERN_SIZE} characters when its counted"
            " repetitions are written out",
        )


def check_grammar(name: str, grammar: Any) -> None:
    """Check that a grammar is small enough to be compiled.

    Raises:
        RefusalError: 400; it is no text, or larger.
    """
    read_text(name, grammar, MAX_GRAMMAR_CHARACTERS)
    if patterns.multiply_counts(grammar) > MAX_PATTERN_SIZE:
        _refuse(name, f"has counted repetitions whose product is more than {MAX_PATTERN_SIZE}")


def check_choice(name: str, options: Any) -> None:
    """Check a list of texts of which the answer must be one.

    Raises:
        RefusalError: 400; it is none, or larger.
    """
    for place, option in enumerate(read_list(name, options, MAX_OPTIONS, "texts")):
        read_text(f"{name}[{place}]", option, MAX_SCHEMA_BYTES)
    if sum(map(len, options)) > MAX_SCHEMA_BYTES:
        _refuse(name, f"has more than {MAX_SCHEMA_BYTES} characters")


def _walk(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return every object of a schema that can have keywords.

    An object with names of properties is among them: a property can be called like a keyword, but its value is a
    schema, and no schema is a number or a text.
    """
    waiting: list[Any] = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(value for key, value in item.items() if key not in _DATA or isinstance(value, dict))
        elif isinstance(item, list):
            waiting.extend(item)


def _refuse(name: str, problem: str) -> NoReturn:
    raise RefusalError(
        400,
        RefusalCode.INVALID_VALUE,
        f"`{name[:200]}` {problem}; send a smaller one, because vLLM compiles it before it answers",
        param=top_level(name),
    )
