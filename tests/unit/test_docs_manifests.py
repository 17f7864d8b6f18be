"""Every manifest of ours in the documentation is one that the API server admits: what a reader copies has to work."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from crd_cases import merge, read_tables
from crd_schema import read_crds, root_schema
from loop.crd_schema import find_pruned

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
YAML_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACEHOLDER = "…"

Body = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One of our resources as a page shows it."""

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
            for body in yaml.safe_load_all(block[1]):
                if isinstance(body, dict) and str(body.get("apiVersion", "")).startswith("tunewright.dev/"):
                    yield Manifest(str(page.relative_to(ROOT)), line, body)


MANIFESTS = list(find_manifests())


def find_faults(body: Body) -> list[str]:
    """Return what the structural schema refuses or drops; a value with … is the reader's to fill in."""
    schema = root_schema(read_crds()[body["kind"]])
    refused = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(body)
        if not (isinstance(error.instance, str) and PLACEHOLDER in error.instance)
    ]
    return refused + [
        f"{field} is no field" for field in find_pruned(schema["properties"]["spec"], body["spec"], "spec")
    ]


def measures(spec: Body, part: str) -> bool:
    return bool(spec.get(part, {}).get("metrics"))


def has_step(spec: Body, name: str) -> bool:
    return any(name in step for step in spec["rollout"]["steps"])


def watches_contract(spec: Body) -> bool:
    return any(metric["type"] == "OutputContract" for metric in spec.get("analysis", {}).get("metrics", ()))


# Nothing here evaluates CEL. These are the rules that join distant fields, which a page that shortens its example breaks most easily.
RULES: list[tuple[str, str, Callable[[Body], bool]]] = [
    (
        "AdapterDeployment",
        "an evaluate step needs something to measure; name at least one metric in evaluation.metrics",
        lambda spec: not has_step(spec, "evaluate") or measures(spec, "evaluation"),
    ),
    (
        "AdapterDeployment",
        "an observe step needs something to watch; name at least one metric in analysis.metrics",
        lambda spec: not has_step(spec, "observe") or measures(spec, "analysis"),
    ),
    (
        "AdapterDeployment",
        "a metric of type OutputContract needs a contract; set outputContract, or remove the metric",
        lambda spec: not watches_contract(spec) or "outputContract" in spec,
    ),
    (
        "BaseModel",
        "source.s3 needs storage.secretRef, the credentials in the operator's namespace that read it",
        lambda spec: "s3" not in spec["source"] or "storage" in spec,
    ),
    (
        "FineTuneJob",
        "training takes epochs or maxSteps, not both; remove one",
        lambda spec: not {"epochs", "maxSteps"} <= spec.get("training", {}).keys(),
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
def test_manifest_keeps_the_rules(manifest: Manifest) -> None:
    spec = manifest.body["spec"]
    broken = [message for kind, message, holds in RULES if kind == manifest.body["kind"] and not holds(spec)]
    assert broken == []


@pytest.mark.parametrize(("kind", "message", "holds"), RULES, ids=[message[:30] for _, message, _ in RULES])
def test_rules_say_what_the_crds_say(kind: str, message: str, holds: Callable[[Body], bool]) -> None:
    """The good and bad manifests of the same rule, which the API server is asked about in tests/e2e."""
    table = read_tables()[kind]
    cases = [case for case in table.cases if case.rule == message]
    assert cases
    for case in cases:
        assert case.good is None or holds(merge(table.base, case.good)["spec"])
        assert not holds(merge(table.base, case.bad)["spec"])


def test_wrong_fields_are_found_and_placeholders_are_not() -> None:
    spec = {"source": {"s3": {}}, "parametersMillions": "…", "licence": {"url": "…"}, "contextLength": "long"}
    faults = find_faults({"kind": "BaseModel", "apiVersion": "tunewright.dev/v1alpha1", "metadata": {}, "spec": spec})
    assert "spec.licence is no field" in faults
    assert "$.spec.source.s3: 'uri' is a required property" in faults
    assert any(fault.startswith("$.spec.contextLength") for fault in faults)
    assert not any(fault.startswith("$.spec.parametersMillions") for fault in faults)
