"""The API server admits every manifest in the documentation and the examples, so that readers can copy them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from support.crds.cases import merge, read_tables
from support.crds.schema import read_crds, root_schema
from support.crds.status import find_pruned

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
YAML_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER = "…"
COMPLETE = "docs/reference/manifests.md"
"""The page whose manifests show every field."""

Body = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A custom resource on a page or in an example."""

    page: str
    line: int
    body: Body

    def __str__(self) -> str:
        return f"{self.page}:{self.line}:{self.body.get('kind')}"


def find_manifests() -> Iterator[Manifest]:
    for page in PAGES:
        text = page.read_text()
        for block in YAML_BLOCK.finditer(text):
            line = text[: block.start()].count("\n") + 1
            yield from read_manifests(page, line, block[1])
    for path in EXAMPLES:
        yield from read_manifests(path, 1, path.read_text())


def read_manifests(path: Path, line: int, text: str) -> Iterator[Manifest]:
    for body in yaml.safe_load_all(text):
        if isinstance(body, dict) and str(body.get("apiVersion", "")).startswith("tunewright.dev/"):
            yield Manifest(str(path.relative_to(ROOT)), line, body)


MANIFESTS = list(find_manifests())


def find_faults(body: Body) -> list[str]:
    """Return what the structural schema refuses or drops; a value with … is a placeholder."""
    schema = root_schema(read_crds()[body["kind"]])
    refused = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(body)
        if not (isinstance(error.instance, str) and PLACEHOLDER in error.instance)
    ]
    return refused + [
        f"{field} is no field" for field in find_pruned(schema["properties"]["spec"], body["spec"], "spec")
    ]


def measures(body: Body, part: str) -> bool:
    return bool(body["spec"].get(part, {}).get("metrics"))


def has_step(body: Body, name: str) -> bool:
    return any(name in step for step in body["spec"]["rollout"]["steps"])


def watches_contract(body: Body) -> bool:
    return any(metric["type"] == "OutputContract" for metric in body["spec"].get("analysis", {}).get("metrics", ()))


def names_a_service(body: Body) -> bool:
    return bool(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", body["metadata"]["name"]))


def has_session(body: Body) -> bool:
    fields = [key.get("bodyField") for key in body["spec"]["rollout"].get("stickyBy", ())]
    return not {"model", "stream"} & set(fields)


# No test here evaluates CEL. Shortened or renamed examples break these rules most easily: they connect distant fields
# or limit a name.
RULES: list[tuple[str, str, Callable[[Body], bool]]] = [
    (
        "AdapterDeployment",
        "an evaluate step needs something to measure; name at least one metric in evaluation.metrics",
        lambda body: not has_step(body, "evaluate") or measures(body, "evaluation"),
    ),
    (
        "AdapterDeployment",
        "an observe step needs something to watch; name at least one metric in analysis.metrics",
        lambda body: not has_step(body, "observe") or measures(body, "analysis"),
    ),
    (
        "AdapterDeployment",
        "a metric of type OutputContract needs a contract; set outputContract, or remove the metric",
        lambda body: not watches_contract(body) or "outputContract" in body["spec"],
    ),
    (
        "AdapterDeployment",
        (
            "bodyField cannot be model or stream, which name no session, since all would get one version; "
            "name one that differs "
            "between sessions, for example session_id"
        ),
        has_session,
    ),
    (
        "BaseModel",
        "source.s3 needs storage, the credentials in the operator's namespace that read it",
        lambda body: "s3" not in body["spec"]["source"] or "storage" in body["spec"],
    ),
    (
        "FineTuneJob",
        "training takes epochs or maxSteps, not both; remove one",
        lambda body: not {"epochs", "maxSteps"} <= body["spec"].get("training", {}).keys(),
    ),
    (
        "ModelServer",
        (
            "metadata.name is the name of a Service and of a host, which has lower-case letters, "
            "digits and '-' only, begins with a "
            "letter and does not end with '-'; rename it, for example llama-3b"
        ),
        names_a_service,
    ),
]


def test_every_kind_is_shown_somewhere() -> None:
    assert {manifest.body["kind"] for manifest in MANIFESTS} == set(read_crds())


@pytest.mark.parametrize("manifest", MANIFESTS, ids=str)
def test_manifest_fits_its_schema(manifest: Manifest) -> None:
    crd = read_crds()[manifest.body["kind"]]
    assert manifest.body["apiVersion"] == f"{crd['spec']['group']}/{crd['spec']['versions'][0]['name']}"
    assert find_faults(manifest.body) == []


@pytest.mark.parametrize("manifest", MANIFESTS, ids=str)
def test_manifest_follows_the_rules(manifest: Manifest) -> None:
    body = manifest.body
    broken = [message for kind, message, holds in RULES if kind == body["kind"] and not holds(body)]
    assert broken == []


@pytest.mark.parametrize(("kind", "message", "holds"), RULES, ids=[message[:30] for _, message, _ in RULES])
def test_rules_agree_with_the_crds(kind: str, message: str, holds: Callable[[Body], bool]) -> None:
    """Use the good and bad manifests of the same rule; tests/e2e submits these to the API server."""
    table = read_tables()[kind]
    cases = [case for case in table.cases if case.rule == message]
    assert cases
    for case in cases:
        assert case.good is None or holds(merge(table.base, case.good))
        assert not holds(merge(table.base, case.bad))


def list_fields(schema: Body, path: str) -> Iterator[str]:
    """Yield the path of every field below a schema; an array's items have the array's path."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from list_fields(child.get("items", child), f"{path}.{name}")


def list_values(value: Any, path: str) -> Iterator[str]:
    """Yield the path of every key of a manifest's part."""
    for item in value if isinstance(value, list) else [value]:
        for name, child in item.items() if isinstance(item, dict) else ():
            yield f"{path}.{name}"
            yield from list_values(child, f"{path}.{name}")


@pytest.mark.parametrize("kind", sorted(read_crds()))
def test_complete_manifests_show_every_field_of_the_spec(kind: str) -> None:
    schema = root_schema(read_crds()[kind])["properties"]["spec"]
    shown = {
        path
        for manifest in MANIFESTS
        if manifest.page == COMPLETE and manifest.body["kind"] == kind
        for path in list_values(manifest.body["spec"], "spec")
    }
    assert sorted(set(list_fields(schema, "spec")) - shown) == []


def test_a_missing_field_is_found() -> None:
    schema = {"properties": {"a": {"items": {"properties": {"b": {}}}}, "c": {"properties": {"d": {}}}}}
    assert set(list_fields(schema, "spec")) == {"spec.a", "spec.a.b", "spec.c", "spec.c.d"}
    assert set(list_values({"a": [{"b": 1}, {}], "c": {}}, "spec")) == {"spec.a", "spec.a.b", "spec.c"}


def test_wrong_fields_are_found_and_placeholders_are_not() -> None:
    spec = {"source": {"s3": {}}, "parametersMillions": "…", "licence": {"url": "…"}, "contextLength": "long"}
    faults = find_faults({"kind": "BaseModel", "apiVersion": "tunewright.dev/v1alpha1", "metadata": {}, "spec": spec})
    assert "spec.licence is no field" in faults
    assert "$.spec.source.s3: 'uri' is a required property" in faults
    assert any(fault.startswith("$.spec.contextLength") for fault in faults)
    assert not any(fault.startswith("$.spec.parametersMillions") for fault in faults)
