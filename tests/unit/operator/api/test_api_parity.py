"""The pydantic models equal the CRDs: names, types, enums, required fields and defaults."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from support.crds.schema import read_crds, root_schema
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import ApiModel, Resource

KINDS: dict[str, type[Resource]] = {
    "AdapterDeployment": AdapterDeployment,
    "BaseModel": BaseModel,
    "FineTuneJob": FineTuneJob,
    "ModelClient": ModelClient,
    "ModelServer": ModelServer,
}
SCALARS = {str: "string", int: "integer", bool: "boolean"}


def test_every_kind_has_a_model() -> None:
    assert read_crds().keys() == KINDS.keys()


@pytest.mark.parametrize("part", ["spec", "status"])
@pytest.mark.parametrize("kind", KINDS)
def test_model_equals_schema(kind: str, part: str) -> None:
    schema = root_schema(read_crds()[kind])["properties"][part]
    model = KINDS[kind].model_fields[part].annotation
    assert list(differences(model, schema, part)) == []


def differences(annotation: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield one line for each difference between a type and its schema."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in arguments if member is not type(None)]
        if len(members) > 1:
            if not schema.get("x-kubernetes-int-or-string"):
                yield f"{path}: {annotation} needs x-kubernetes-int-or-string"
            return
        yield from differences(members[0], schema, path)
    elif isinstance(annotation, type) and issubclass(annotation, ApiModel):
        yield from model_differences(annotation, schema, path)
    elif isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        yield from unequal(f"{path} enum", {member.value for member in annotation}, set(schema.get("enum", ())))
    elif origin is typing.Literal:
        yield from unequal(f"{path} enum", set(arguments), set(schema.get("enum", ())))
    elif origin is tuple:
        yield from unequal(f"{path} type", "array", schema.get("type"))
        yield from differences(arguments[0], schema.get("items", {}), f"{path}[]")
    elif origin is dict and arguments[1] is Any:
        yield from unequal(f"{path} open", True, schema.get("x-kubernetes-preserve-unknown-fields", False))
    elif origin is dict:
        yield from differences(arguments[1], schema.get("additionalProperties", {}), f"{path}{{}}")
    else:
        yield from scalar_differences(annotation, schema, path)


def scalar_differences(annotation: type, schema: dict[str, Any], path: str) -> Iterator[str]:
    yield from unequal(f"{path} type", SCALARS[annotation], schema.get("type"))
    if "enum" in schema:
        yield f"{path}: the schema has an enum, the model has not"


def model_differences(model: type[ApiModel], schema: dict[str, Any], path: str) -> Iterator[str]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    properties = schema.get("properties", {})
    yield from unequal(f"{path} fields", set(fields), set(properties))
    required = {name for name, field in fields.items() if field.is_required()}
    yield from unequal(f"{path} required", required, set(schema.get("required", ())))
    for name in fields.keys() & properties.keys():
        where = f"{path}.{name}"
        yield from differences(fields[name].annotation, properties[name], where)
        default = properties[name].get("default")
        if path.startswith("status"):
            yield from unequal(f"{where} default", None, default)
        elif not fields[name].is_required():
            yield from unequal_default(where, fields[name], default)


def unequal_default(where: str, field: FieldInfo, default: Any) -> Iterator[str]:
    """Compare defaults: the CRD needs none for an empty value; that of an object may omit its fields' defaults."""
    value = field.get_default(call_default_factory=True, validated_data={})
    assert value is not PydanticUndefined
    if isinstance(value, ApiModel) and default is not None:
        yield from unequal(f"{where} default", value, type(value).model_validate(default))
        return
    if isinstance(value, tuple):
        value = [
            item.model_dump(by_alias=True, exclude_unset=True) if isinstance(item, ApiModel) else item for item in value
        ]
    yield from unequal(f"{where} default", None if value in (None, "", [], {}) else value, default)


def unequal(what: str, model: Any, schema: Any) -> Iterator[str]:
    if model != schema:
        yield f"{what}: the model says {model}, the schema {schema}"
