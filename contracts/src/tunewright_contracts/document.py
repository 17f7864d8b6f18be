"""The base of all contracts and custom resources: frozen models, in camelCase as JSON, that ignore unknown fields."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from tunewright_contracts.values import MAX_COUNT

Sha256 = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A content digest: ``sha256:`` and 64 hexadecimal digits."""

SCHEMA_VERSION = 1
"""The version of every document that this release writes, and the only one that it reads."""

Decimal = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=32)]
"""A decimal number as a string: custom resources have no floats (Kubernetes API conventions, "Primitive types")."""


_SHOWN_PROBLEMS, _SHOWN_NAME, _SHOWN_PROBLEM = 5, 100, 500
"""How many problems a message names, and how many characters of each name and of each problem."""


class ContractError(ValueError):
    """A document from another process cannot be read; the message names the field and the problem."""

    def __init__(self, message: str, kinds: frozenset[str] = frozenset()) -> None:
        """Create the error; ``kinds`` are pydantic's types of the errors that it contains."""
        super().__init__(message)
        self.kinds = kinds


class FrozenModel(BaseModel):
    """The base of contracts and custom resources: frozen, in camelCase as JSON; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    def to_wire(self) -> dict[str, Any]:
        """Return JSON-ready data in camelCase, without unset optional fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def updated(self, **fields: Any) -> Self:
        """Return a copy with new values of some fields, with the same validation as a new object.

        Args:
            fields: the new values by the fields' names in Python. (`model_copy(update=…)` checks neither names
                nor values.)

        Raises:
            TypeError: the model has no field of that name.
            ValueError: a value does not fit its field.
        """
        known = type(self).model_fields
        unknown = sorted(fields.keys() - known.keys())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}")
        return type(self).model_validate({**{name: getattr(self, name) for name in known}, **fields})


class Message(FrozenModel):
    """A part of a document."""

    def to_json(self) -> str:
        """Return the compact JSON text of this message."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse JSON text.

        Raises:
            ContractError: it is not JSON or does not match the schema; the message lists each field.
        """
        cls._check_size(text)
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise _translate(cls.__name__, error) from error

    @classmethod
    def _check_size(cls, text: str | bytes) -> None:
        """Refuse a text that must not even be parsed.

        Raises:
            ContractError: it is too long.
        """

    @classmethod
    def from_wire(cls, data: object) -> Self:
        """Parse decoded JSON.

        Raises:
            ContractError: it does not match the schema; the message lists each field.
        """
        try:
            return cls.model_validate(data)
        except ValueError as error:
            raise _translate(cls.__name__, error) from error


class Document(Message):
    """A complete file or message.

    A new optional field does not change ``schema_version``: readers ignore unknown fields.
    """

    schema_version: int = SCHEMA_VERSION

    max_bytes: ClassVar[int] = 1 << 20
    """The longest text that `from_json` reads."""

    @classmethod
    def _check_size(cls, text: str | bytes) -> None:
        size = len(text) if isinstance(text, bytes) else len(text.encode(errors="replace"))
        if size > cls.max_bytes:
            raise ContractError(f"{cls.__name__}: it has {size} bytes, but at most {cls.max_bytes} are read")

    @field_validator("schema_version")
    @classmethod
    def _refuse_other_versions(cls, version: int) -> int:
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"this release reads only version {SCHEMA_VERSION}, but the document has version {version}."
                " Use operator, trainer and server images of the same release"
            )
        return version


class NumberedDocument(Document):
    """What all replicas of a ModelServer apply, identified by (server UID, generation, hash)."""

    server_uid: str
    generation: int = Field(ge=1, le=MAX_COUNT)

    @functools.cached_property
    def content_hash(self) -> str:
        """``sha256:<hex>`` of the document without its generation; one with the same hash is not written."""
        # Computed once for each object: it takes milliseconds for a document of a large pool.
        content = self.updated(generation=1)
        return f"sha256:{hashlib.sha256(content.to_json().encode()).hexdigest()}"

    def __copy__(self) -> Self:
        """Return a copy without the hash: `model_copy` changes fields of the copy."""
        copied = super().__copy__()
        copied.__dict__.pop("content_hash", None)
        return copied


class SignedDocument(Document):
    """A document's exact bytes with the operator's Ed25519 signature (RFC 8032) over them, both base64."""

    payload: str
    signature: str

    def payload_bytes(self) -> bytes:
        """Return the signed bytes, which are UTF-8 JSON."""
        return base64.b64decode(self.payload, validate=True)


def _translate(subject: str, error: ValueError) -> ContractError:
    kinds = frozenset(item["type"] for item in error.errors()) if isinstance(error, ValidationError) else frozenset()
    return ContractError(describe_validation_error(subject, error), kinds)


def describe_validation_error(subject: str, error: ValueError) -> str:
    """Return one line that names each offending field of a pydantic error."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return f"{subject}: {_shorten(str(error), _SHOWN_PROBLEM)}"
    parts: list[str] = []
    for item in errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_PROBLEMS]:
        where = ".".join(_shorten(str(part)) for part in item["loc"]) or "document"
        parts.append(f"{where}: {_shorten(item['msg'], _SHOWN_PROBLEM)}")
    return f"{subject}: " + "; ".join(parts)


def _shorten(text: str, limit: int = _SHOWN_NAME) -> str:
    """Return a part of a message: names of fields and values are a document's, and can have any length."""
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return shown if shown.isprintable() else repr(shown)[1:-1]
