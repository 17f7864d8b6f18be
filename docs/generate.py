# ruff: noqa: INP001 - a script, no package
"""Write the pages that are made from the code: fields, permissions, conditions, commands, what wakes what, sizes.

``python docs/generate.py`` writes; ``--check`` writes nothing and fails when a page is not current.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tunewright_cli.arguments import build_parser
from tunewright_contracts.reasons import Reason
from tunewright_dev.kubernetes_yaml import format_yaml
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason
from tunewright_operator.domain.reasons.base_model import BaseModelReason
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.reasons.model_client import ModelClientReason
from tunewright_operator.domain.reasons.model_server import ModelServerReason
from tunewright_operator.store.wakes import RULES as RULES_OF_WAKES
from tunewright_storage.adapter_reasons import AdapterReason
from tunewright_storage.errors import StorageReason
from tunewright_trainer.errors import Reason as TrainerReason

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from scale_bench.table import format_table, read_reports

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
RULES = "charts/tunewright/files/operator-rules.yaml"
CONDITIONS = "operator/src/tunewright_operator/api/conditions.py"
KINDS = ("BaseModel", "FineTuneJob", "ModelServer", "AdapterDeployment", "ModelClient")
REASONS: dict[str, type[Reason]] = {
    "Of more than one kind": CommonReason,
    "Of object storage, on any kind": StorageReason,
    "Of a BaseModel": BaseModelReason,
    "Of a FineTuneJob": FineTuneJobReason,
    "Of a FineTuneJob, as its pods report them": TrainerReason,
    "Of a ModelServer": ModelServerReason,
    "Of an AdapterDeployment": AdapterDeploymentReason,
    "Of a ModelClient": ModelClientReason,
    "Of an adapter in a server's pod (in the messages of LoadingRetried and AdapterRefused)": AdapterReason,
    "Of an evaluation (in its report)": EvaluationReason,
}
"""Every enum of reasons, by its title."""


def generated(source: str) -> str:
    """Return the line that says where a page comes from."""
    return f"<!-- Generated from {source} by docs/generate.py; change it there and run `make generate`. -->"


def cell(text: str) -> str:
    """Return text for a table's cell: bars and, outside code spans, angle brackets are escaped."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))


# --- api.md ---------------------------------------------------------------------------------------------------------


def render_api() -> str:
    """Return the page of all fields, from the CRDs."""
    crds = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    by_kind = {crd["spec"]["names"]["kind"]: crd for crd in crds}
    lines = [
        generated("crds/"),
        "# Custom resources",
        "",
        "Group `tunewright.dev`, version `v1alpha1`.",
        "`kubectl explain <kind>.spec` shows the same text.",
        (
            "The API server checks every rule below when an object is applied, "
            "and writes the default into a field that is not set."
        ),
        "[Complete manifests](manifests.md) has an annotated example of each kind.",
    ]
    for kind in KINDS:
        lines += ["", *kind_section(by_kind[kind])]
    return "\n".join(lines) + "\n"


def kind_section(crd: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one kind."""
    spec = crd["spec"]
    (version,) = spec["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    scope = "namespaced" if spec["scope"] == "Namespaced" else "cluster-scoped"
    yield f"## {spec['names']['kind']}"
    yield ""
    yield from re.split(r"(?<=\.) (?=[A-Z])", schema["description"])
    yield f"It is {scope}; its short name is `{spec['names']['shortNames'][0]}`."
    columns = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    yield f"`kubectl get` shows: {', '.join(columns)}."
    for part in ("spec", "status"):
        yield ""
        yield f"### {spec['names']['kind']} {part}"
        yield ""
        yield "| field | type | default | meaning |"
        yield "| --- | --- | --- | --- |"
        yield from field_rows(schema["properties"][part], "")
        rules = list(rule_rows(schema["properties"][part], part))
        if rules:
            yield ""
            yield "Rules:"
            yield ""
            yield from rules


def field_rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield a table row for every field below a schema."""
    required = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        where = f"{path}.{name}".removeprefix(".")
        default = "required" if name in required else default_of(child)
        yield f"| `{where}` | {type_of(child)} | {default} | {cell(child['description'])} |"
        inner = child["items"] if child.get("type") == "array" else child
        yield from field_rows(inner, where + ("[]" if child.get("type") == "array" else ""))


def default_of(schema: dict[str, Any]) -> str:
    """Return the default as a table shows it; an object's stands with its fields."""
    if "default" not in schema or isinstance(schema["default"], dict):
        return ""
    return f"`{format_yaml(schema['default'], flow=True).strip()}`"


def type_of(schema: dict[str, Any]) -> str:
    """Return a type with its bounds in a few words."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    return collection_of(schema) or scalar_of(schema)


def collection_of(schema: dict[str, Any]) -> str | None:
    """Return the words for a list or a map, None for anything else."""
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'])}, at most {schema['maxItems']}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map to {type_of(schema['additionalProperties'])}"
    return None


def scalar_of(schema: dict[str, Any]) -> str:
    """Return the words for a number, a time or anything that needs no more than its type's name."""
    if schema["type"] == "integer" and "minimum" in schema:
        return f"integer, {schema['minimum']} to {schema['maximum']}"
    return "time" if schema.get("format") == "date-time" else str(schema["type"])


def rule_rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield a list item for every rule at or below a schema."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"- `{path}`: {cell(rule['message'])}."
    for name, child in schema.get("properties", {}).items():
        yield from rule_rows(child, f"{path}.{name}")
    if "items" in schema:
        yield from rule_rows(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from rule_rows(schema["additionalProperties"], f"{path}{{}}")


# --- permissions.md -------------------------------------------------------------------------------------------------


def render_permissions() -> str:
    """Return the page of the operator's rights, from the file that the ClusterRole is made of."""
    rules = yaml.safe_load((ROOT / RULES).read_text())
    lines = [
        generated(RULES),
        "# The operator's permissions",
        "",
        "This page lists all rights of the operator; a test checks with the API server that there are no others.",
        "The operator holds no bucket credentials.",
        "It cannot run commands in pods, read logs, list Secrets, write specs, or grant rights.",
        "",
        "If the operator's token is stolen, its new holder can:",
        "",
        "- read every Secret whose name they know;",
        (
            "- run pods in every namespace, as Jobs and Deployments, "
            "and through them use every Secret and ServiceAccount there;"
        ),
        "- overwrite every Secret (create, patch) and ConfigMap (create, update, patch) whose name they know.",
        "",
        (
            "Treat the operator's namespace like that of any controller that creates pods for others: "
            "give no other user rights in it."
        ),
    ]
    titles = {
        "cluster": "Outside of namespaces (ClusterRole)",
        "tenants": "In every namespace (ClusterRole), or in those of `rbac.namespaces` and its own (Roles)",
        "namespace": "In its own namespace (Role)",
    }
    for part, title in titles.items():
        lines += ["", f"## {title}", "", "| API group | resources | verbs | why |", "| --- | --- | --- | --- |"]
        lines += [permission_row(rule) for rule in rules[part]]
    lines += [
        "",
        "## Rights of others",
        "",
        "- Trainer, server and evaluator pods have no service account token and no rights.",
        (
            "- The chart adds FineTuneJob, ModelServer and AdapterDeployment to Kubernetes' `view`, "
            "`edit` and `admin` roles (`rbac.aggregateToUserRoles`)."
        ),
        "- The chart lets every authenticated user read the catalogue of base models (`rbac.everyoneReadsBaseModels`).",
        (
            "- The chart has a ClusterRole `tunewright-catalogue-admin` for the platform team, "
            "which is not bound to any user."
        ),
        (
            "- `helm uninstall` runs one Job with the operator's ServiceAccount, "
            "which scales the operator to 0 and removes its finalizers; it needs no other rights."
        ),
    ]
    return "\n".join(lines) + "\n"


def permission_row(rule: dict[str, Any]) -> str:
    """Return a table row of one rule."""
    groups = ", ".join(group or "core" for group in rule["apiGroups"])
    return f"| {groups} | {', '.join(rule['resources'])} | {', '.join(rule['verbs'])} | {cell(rule['reason'])} |"


# --- conditions.md --------------------------------------------------------------------------------------------------


def render_conditions() -> str:
    """Return the page of condition types and reasons, from the modules that define them."""
    types = member_docs(CONDITIONS)
    modules = dict.fromkeys(enum.__module__ for enum in REASONS.values())
    lines = [
        generated(f"{CONDITIONS} and the enums in {', '.join(modules)}"),
        "# Conditions and reasons",
        "",
        (
            "Every condition has `observedGeneration`: "
            "it describes the current spec when that equals `metadata.generation`."
        ),
        "Its message explains what was wrong, where, and what to do.",
        "Its reason is one of the words below, for programs.",
        (
            "`kubectl wait --for=condition=Ready` (for a FineTuneJob: `Succeeded`) "
            "and tools that read kstatus work on all kinds."
        ),
        "[Troubleshooting](../how-to/troubleshooting.md) starts from the symptom instead.",
        "",
        "Only `suspend`, `activeDeadlineSeconds` and `retry.maxRestarts` of an existing FineTuneJob can be changed.",
        "To change another field, create another job.",
        "",
        "## Types",
        "",
        "| kind | type | meaning |",
        "| --- | --- | --- |",
    ]
    for kind in KINDS:
        lines += [f"| {kind} | `{word}` | {cell(doc)} |" for word, doc in types[f"{kind}Condition"].items()]
    for title, enum in REASONS.items():
        lines += ["", f"## {title}", "", "| reason | meaning | what to do |", "| --- | --- | --- |"]
        lines += [f"| `{reason}` | {cell(reason.meaning)} | {cell(reason.remedy)} |" for reason in enum]
    return "\n".join(lines) + "\n"


def member_docs(path: str) -> dict[str, dict[str, str]]:
    """Return {enum: {value: docstring under it}} of a module; a member without one is an error."""
    tree = ast.parse((ROOT / path).read_text())
    enums: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "StrEnum" for base in node.bases):
            enums[node.name] = dict(pair_with_docs(path, node.body))
    return enums


def pair_with_docs(path: str, body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield (value, docstring) of the assignments of a class body."""
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign):
            continue
        value = ast.literal_eval(statement.value)
        if not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)):
            raise SystemExit(f"{path}:{statement.lineno}: {value} needs a docstring under it")
        yield value, str(following.value.value)


# --- cli.md ---------------------------------------------------------------------------------------------------------


def render_command(*words: str) -> str:
    """Return the description and the arguments of a command of the kubectl plugin."""
    parser = build_parser()
    for word in words:
        commands = (action.choices for action in parser._actions if isinstance(action.choices, dict))  # noqa: SLF001
        parser = next(commands)[word]
    lines = [re.sub(r"(?<=\.) ", "\n", str(parser.description)), "", "| argument | meaning |", "| --- | --- |"]
    actions = [action for action in parser._actions if action.dest != "help"]  # noqa: SLF001
    lines += [f"| {format_argument(action)} | {cell(str(action.help))} |" for action in actions]
    return "\n".join(lines)


def format_argument(action: argparse.Action) -> str:
    """Return how an argument is written on the command line."""
    value = action.metavar or "\\|".join(action.choices or ()) or action.dest.upper()
    if not action.option_strings:
        return f"`{value}`" + {"?": ", optional", "*": ", optional, several"}.get(str(action.nargs), "")
    values = {0: "", "?": f"[={value}]"}.get(action.nargs if action.nargs is not None else 1, f" {value}")
    return ", ".join(f"`{option}{values}`" for option in action.option_strings)


# --- architecture.md ------------------------------------------------------------------------------------------------


def render_wakes() -> str:
    """Return the table of what wakes what, from the rules of the store."""
    lines = ["| changed | what | wakes | urgency |", "| --- | --- | --- | --- |"]
    for rule in RULES_OF_WAKES:
        kinds = ", ".join(kind.name for kind in rule.kinds)
        lines.append(f"| {kinds} | {cell(rule.change)} | {cell(rule.wakes)} | {rule.urgency.name} |")
    return "\n".join(lines)


def fill_section(page: str, name: str, text: str) -> str:
    """Return a page with the text between its two marks of a name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"the marks {begin.strip()} and {end} are missing in:\n{page[:200]}")
    return f"{before}{begin}{text}\n{end}{after}"


PAGES = {"api.md": render_api, "permissions.md": render_permissions, "conditions.md": render_conditions}
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
CLI = REFERENCE / "cli.md"
COMMANDS = ("create", "rotate", "revoke", "list")
SIZING = ROOT / "docs" / "how-to" / "sizing.md"


def main() -> None:
    """Write the pages, or check them."""
    wanted = {REFERENCE / name: render() for name, render in PAGES.items()}
    wanted[ARCHITECTURE] = fill_section(ARCHITECTURE.read_text(), "wakes", render_wakes())
    wanted[SIZING] = fill_section(SIZING.read_text(), "scale", format_table(read_reports()))
    wanted[CLI] = CLI.read_text()
    for verb in COMMANDS:
        wanted[CLI] = fill_section(wanted[CLI], verb, render_command("key", verb))
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            raise SystemExit(f"not current: {names}; run `make generate`")
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])


if __name__ == "__main__":
    main()
