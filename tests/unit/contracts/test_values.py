"""Every number, name, text and list in a document that others write has bounds."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tunewright_contracts import values
from tunewright_contracts.adapter_manifest import AdapterManifest
from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.pool_load import PodLoad
from tunewright_contracts.progress import Progress
from tunewright_contracts.serving_plan import PodState

UNBOUNDED = {
    # The largest document bounds them, and no status has them.
    "AdapterManifest.training",
    "EvaluationReport.answers",
    "EvaluationReport.answers[].record",
    "EvaluationReport.answers[].reference",
    "EvaluationReport.answers[].candidate",
    "EvaluationReport.answers[].incumbent",
    "EvaluationReport.answers[].base",
    # A closed list bounds them.
    "AdapterManifest.files[].path",
}


NEEDED: dict[str, list[set[str]]] = {
    "array": [{"maxItems"}],
    "object": [{"maxProperties", "properties"}, {"properties", "propertyNames", "patternProperties"}],
    "string": [{"maxLength", "pattern", "enum", "const"}],
    "integer": [{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}],
}
"""Of each set, a JSON Schema of this type needs one keyword."""


def list_unbounded(schema: dict[str, Any], definitions: dict[str, Any], where: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if any(not keywords & schema.keys() for keywords in NEEDED.get(schema.get("type", ""), [])):
        yield where
    for part, below in list_parts(schema):
        yield from list_unbounded(below, definitions, where + part)


def list_parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from (("", option) for option in schema.get("anyOf", []))
    yield from ((f".{name}", part) for name, part in schema.get("properties", {}).items())
    yield from (("{}", part) for part in schema.get("patternProperties", {}).values())
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}"), ("propertyNames", ".<name>")):
        if isinstance(schema.get(keyword), dict):
            yield suffix, schema[keyword]


@pytest.mark.parametrize("kind", [AdapterManifest, EvaluationReport, PhaseResult, PodLoad, PodState, Progress])
def test_every_part_of_a_document_has_bounds(kind):
    schema = kind.model_json_schema(by_alias=False, mode="validation")
    found = set(list_unbounded(schema, schema.get("$defs", {}), kind.__name__))
    found = {where for where in found if not where.endswith("schema_version")}
    assert found == {where for where in UNBOUNDED if where.startswith(kind.__name__)}


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (values.Count, [0, values.MAX_COUNT], [-1, values.MAX_COUNT + 1, 10**30, 0.5]),
        (values.Size, [0, values.MAX_BYTES], [-1, values.MAX_BYTES + 1]),
        (values.Rank, [1, 512], [0, 513]),
        (values.Name, ["", "a/b:c@1.2_3-4+5", "a" * 253], ["a" * 254, "a b", "a\nb", "a\u202eb", "a\n"]),
        (values.MetricName, ["ExactMatch", "a" * 64], ["", "a" * 65, "a b"]),
        (values.Address, ["", "s3://bucket", "s3://bucket/a"], ["b", "s3://bucket/../a", "s3://bucket/" + "a" * 1013]),
        (values.Time, ["", "2026-01-01T00:00:00Z"], ["2" * 65, "2026-01-01 00:00", "\x00"]),
        (values.StopTokens, [(), (0, 2**31 - 1)], [(-1,), (2**31,), tuple(range(17))]),
    ],
)
def test_values_within_and_outside_their_bounds(kind, good, bad):
    for value in good:
        assert read(kind, value) == value
    for value in bad:
        with pytest.raises(ValidationError):
            read(kind, value)


@pytest.mark.parametrize(("kind", "limit"), [(values.Word, 64), (values.ShortText, 1024), (values.Text, 4096)])
def test_texts_are_shortened(kind, limit):
    assert read(kind, "a" * limit) == "a" * limit
    assert read(kind, "a" * (limit + 1)) == "a" * (limit - 1) + "…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n\tlines", "two\n\tlines"),
        ("日本 — é 💥", "日本 — é 💥"),
        ("a\x1b[2Jb\x00", "a\ufffd[2Jb\ufffd"),
        ("Loading:  0%\rLoading: 99%\r\nended", "Loading:  0%\nLoading: 99%\nended"),
        ("a\u202eb\u2028c\u2066d\ufeff\x85", "a\ufffdb\ufffdc\ufffdd\ufffd\ufffd"),
    ],
)
def test_characters_that_could_hide_others_are_replaced(text, shown):
    assert values.show(text, 100) == shown
    assert values.show(shown, 100) == shown


def test_long_messages_are_cut_with_an_ellipsis():
    assert values.show("abcdef", 4) == "abc…"
    assert values.show("abcd", 4) == "abcd"
