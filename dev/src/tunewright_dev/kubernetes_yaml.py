"""Write YAML that Kubernetes reads as it was meant: strings that look like numbers or booleans are quoted."""

from __future__ import annotations

import re
from typing import Any

import yaml


def format_yaml(value: object, *, flow: bool = False) -> str:
    """Return a value as YAML, with its order of fields; ``flow`` writes it on one line, as in JSON."""
    width = 10_000 if flow else 120
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=width, default_flow_style=flow)
    return text.removesuffix("...\n")  # PyYAML ends a document that is only a scalar


class _Dumper(yaml.SafeDumper):
    """A dumper that repeats equal parts, because a manifest with anchors such as ``&id001`` is hard to read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the name and arguments are PyYAML's
        """Return True for any data."""
        return True


# Kubernetes reads more words as numbers and booleans than PyYAML does (go-yaml's resolve.go). PyYAML quotes the strings
# that it resolves to something else.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?0o[0-7]+$"), list("-+0"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]$"), list("yYnN"))
