# ruff: noqa: INP001 - a script, no package
"""Write what the chart takes from elsewhere: CRDs as templates, defaults as a file, and the README's table of values.

``python charts/generate.py`` writes; ``--check`` writes nothing and fails when a file is not current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "tunewright"
BEGIN, END = "<!-- values: generated from values.schema.json by charts/generate.py -->", "<!-- end of values -->"
NAME_LINE = "\nmetadata:\n  name: {name}\n"
HEAD = """{{- include "tunewright.completeValues" . }}
{{- if .Values.crds.enabled }}
# Generated from crds/ by charts/generate.py; change it there.
"""
ANNOTATIONS = """  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def render_crd(text: str) -> str:
    """Return a CRD as a template that obeys ``crds.enabled`` and ``crds.keep``."""
    name = yaml.safe_load(text)["metadata"]["name"]
    if "{{" in text:
        raise SystemExit(f"{name}: two opening braces would be a template action; write them apart")
    if text.count(NAME_LINE.format(name=name)) != 1:
        raise SystemExit(f"{name}: metadata must hold the name and nothing else")
    _, body = text.split("\n", 1)
    body = body.replace(NAME_LINE.format(name=name), NAME_LINE.format(name=name) + ANNOTATIONS)
    return HEAD + body + "{{- end }}\n"


def render_default_values(values: str) -> str:
    """Return values.yaml as a file that templates can read, which values.yaml itself is not."""
    _, body = values.split("\n", 1)
    return "# Generated from values.yaml by charts/generate.py, because a template cannot read that file.\n" + body


def render_readme(readme: str) -> str:
    """Return the README with its table of values generated again."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{path}` | `{json.dumps(default)}` | {text} |" for path, default, text in walk(schema, schema, values)]
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n{END}{after}"


def walk(root: dict[str, Any], schema: dict[str, Any], values: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield (path, default, description) of every value that has a default."""
    for name, child in schema.get("properties", {}).items():
        if not isinstance(values, dict) or name not in values:
            continue
        where = f"{path}.{name}".removeprefix(".")
        target = root["definitions"]["image"] if child.get("$ref") == "#/definitions/image" else child
        if "properties" in target:
            yield from walk(root, target, values[name], where)
        else:
            yield where, values[name], child["description"]


def outputs() -> dict[Path, str]:
    """Return every generated file with what it should say."""
    crds = sorted((ROOT / "crds").glob("*.yaml"))
    files = {CHART / "templates" / "crds" / path.name: render_crd(path.read_text()) for path in crds}
    defaults = render_default_values((CHART / "values.yaml").read_text())
    readme = CHART / "README.md"
    return files | {CHART / "files" / "default-values.yaml": defaults, readme: render_readme(readme.read_text())}


def main() -> None:
    """Write the files, or check them."""
    check = "--check" in sys.argv[1:]
    wanted = outputs()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    orphans = set((CHART / "templates" / "crds").glob("*")) - wanted.keys()
    names = ", ".join(str(path.relative_to(ROOT)) for path in [*stale, *sorted(orphans)])
    if check and names:
        raise SystemExit(f"not current: {names}; run `make generate`")
    for path in orphans:
        path.unlink()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])


if __name__ == "__main__":
    main()
