"""Style rules of the CRDs that no API server enforces."""

from __future__ import annotations

import re

import pytest

from support.crds.schema import read_crds, root_schema, walk

KINDS = sorted(read_crds())


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_description_that_begins_with_its_name(kind: str) -> None:
    missing = []
    for path, schema in walk(root_schema(read_crds()[kind])):
        name = path.rsplit(".", 1)[-1]
        if path in ("", "metadata") or name.endswith(("[]", "{}")):
            continue
        description = schema.get("description", "")
        if not re.match(rf"{re.escape(name)}\b.*\.$", description, flags=re.DOTALL):
            missing.append(f"{path}: {description!r}")
    assert missing == []


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_bounded(kind: str) -> None:
    unbounded = []
    for path, schema in walk(root_schema(read_crds()[kind])):
        is_text = schema.get("type") == "string" or schema.get("x-kubernetes-int-or-string")
        if path in ("apiVersion", "kind"):
            continue
        if is_text and not {"maxLength", "enum"} & schema.keys():
            unbounded.append(f"{path} needs maxLength")
        if schema.get("type") == "array" and not {"maxItems", "x-kubernetes-list-type"} <= schema.keys():
            unbounded.append(f"{path} needs maxItems and x-kubernetes-list-type")
        if "additionalProperties" in schema and "maxProperties" not in schema:
            unbounded.append(f"{path} needs maxProperties")
        is_spec_number = schema.get("type") == "integer" and path.startswith("spec")
        if is_spec_number and not ({"minimum", "maximum"} <= schema.keys() or "enum" in schema):
            unbounded.append(f"{path} needs minimum and maximum")
        if schema.get("type") == "number":
            unbounded.append(f"{path}: no floats in the API")
    assert unbounded == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_a_message(kind: str) -> None:
    for path, schema in walk(root_schema(read_crds()[kind])):
        messages = [rule.get("message", "") for rule in schema.get("x-kubernetes-validations", ())]
        assert all(messages), f"{path} has a rule without a message"
        assert len(set(messages)) == len(messages), f"{path} says the same of two rules"


@pytest.mark.parametrize("kind", KINDS)
def test_names(kind: str) -> None:
    crd = read_crds()[kind]
    names = crd["spec"]["names"]
    assert names["categories"] == ["tunewright"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    short = {
        "BaseModel": "bm",
        "FineTuneJob": "ftj",
        "ModelServer": "ms",
        "AdapterDeployment": "adep",
        "ModelClient": "mcl",
    }
    assert names["shortNames"] == [short[kind]]
