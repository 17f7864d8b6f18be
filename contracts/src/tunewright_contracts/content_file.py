"""The files that a document in a bucket names.

Anyone with write access to the bucket can write such a document, and readers join its names to folders and download as
many bytes as it states. So each name must be one path segment from a closed list and must occur once, and no size may
be negative.
"""

from __future__ import annotations

import collections
from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from tunewright_contracts.document import Message, Sha256
from tunewright_contracts.values import Size

FORBIDDEN_FILE = "forbidden_file"
"""The kind of `ContractError` for a name that is not in the closed list."""
PLAIN_NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
PlainName = Annotated[str, StringConstraints(pattern=PLAIN_NAME_PATTERN)]
"""One path segment: no separator, no leading dot, and only characters that no shell, URL or file system interprets."""
_SHOWN_NAMES = 3
_SHOWN_CHARACTERS = 100


class ContentFile(Message):
    """One file of the content; ``size`` is in bytes. `only_files` restricts ``path`` to the document's closed list."""

    path: str
    sha256: Sha256
    size: Size


def only_files(allowed: Collection[str]) -> AfterValidator:
    """Return a validator for a list of `ContentFile`: each name must be in a closed list and must occur once.

    Args:
        allowed: the closed list; each name is one path segment.
    """

    def check(files: tuple[ContentFile, ...]) -> tuple[ContentFile, ...]:
        paths = [file.path for file in files]
        refuse_forbidden(paths, allowed)
        repeated = sorted(path for path, count in collections.Counter(paths).items() if count > 1)
        if repeated:
            raise PydanticCustomError("repeated_file", "lists {names} more than once", {"names": _shorten(repeated)})
        return files

    return AfterValidator(check)


def refuse_forbidden(names: Collection[str], allowed: Collection[str]) -> None:
    """Refuse names that are not in a closed list.

    Raises:
        PydanticCustomError: of the kind `FORBIDDEN_FILE`.
    """
    forbidden = sorted(set(names) - set(allowed))
    if forbidden:
        raise PydanticCustomError(
            FORBIDDEN_FILE,
            "lists {names}, but only {allowed} are allowed",
            {"names": _shorten(forbidden), "allowed": ", ".join(sorted(allowed))},
        )


def _shorten(names: Collection[str]) -> str:
    """Return the first names for a message: as Python literals, each cut to a maximum length."""
    shown = [repr(name)[:_SHOWN_CHARACTERS] for name in list(names)[:_SHOWN_NAMES]]
    return ", ".join([*shown, "…"] if len(names) > _SHOWN_NAMES else shown)
