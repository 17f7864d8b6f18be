"""Style rules that ruff cannot check: loggers, their events, docstrings, an import, and clocks.

Each check is a function from a parsed module to its findings. A sample shows that it finds something.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = tuple(
    f"{name}/src" for name in ("contracts", "storage", "operator", "evaluator", "trainer-image", "server-image", "cli")
)
PURE = ("contracts/src", *(f"operator/src/tunewright_operator/{name}" for name in ("api", "domain", "manifests")))
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
SNAKE_CASE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
CLOCKS = {"dt.datetime.now", "dt.datetime.today", "dt.date.today", "time.time", "time.monotonic", "time.time_ns"}
ANNOUNCED = ("Tell whether", "Whether", "Check whether", "Check if", "Return if", "True if", "True when")
PREDICATE = re.compile(r"_?(is|has|may|must|can|needs)_")

Findings = Iterator[tuple[int, str]]
Check = Callable[[ast.Module], Findings]


def find_odd_loggers(tree: ast.Module) -> Findings:
    """Yield each logger that is not created by ``log = structlog.get_logger(__name__)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(
            ("structlog.get_", "logging.getLogger(_")
        ):
            written = ast.unparse(node)
            if written != "log = structlog.get_logger(__name__)":
                yield node.lineno, written


def find_odd_events(tree: ast.Module) -> Findings:
    """Yield each log call whose event is not a literal in snake_case."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)) if level in LEVELS:
                event = node.args[0] if node.args else None
                name = event.value if isinstance(event, ast.Constant) else None
                if not (isinstance(name, str) and SNAKE_CASE.fullmatch(name)):
                    yield node.lineno, ast.unparse(node)


def find_odd_predicates(tree: ast.Module) -> Findings:
    """Yield each predicate whose docstring does not start with "Return whether …"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            returns_bool = node.returns is not None and ast.unparse(node.returns) == "bool"
            named = bool(first) and returns_bool and PREDICATE.match(node.name)
            if first.startswith(ANNOUNCED) or (named and not first.startswith(("Return whether", "Return False"))):
                yield node.lineno, first


def find_module_pathlib(tree: ast.Module) -> Findings:
    """Yield each ``import pathlib``, which is written ``from pathlib import Path``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "pathlib" for alias in node.names):
            yield node.lineno, ast.unparse(node)


def find_clocks(tree: ast.Module) -> Findings:
    """Yield each call that reads a clock."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS:
            yield node.lineno, ast.unparse(node)


CHECKS: dict[Check, tuple[str, ...]] = {
    find_odd_loggers: PRODUCT,
    find_odd_events: PRODUCT,
    find_odd_predicates: (*PRODUCT, "dev", "tests"),
    find_module_pathlib: (*PRODUCT, "dev", "docs", "charts", "bench", "examples", "requirements", "tests"),
    find_clocks: PURE,
}
HINTS: dict[Check, re.Pattern[str]] = {
    find_odd_loggers: re.compile(r"structlog\.get_|logging\.getLogger"),
    find_odd_events: re.compile(r"\blog\.\w+\("),
    find_odd_predicates: re.compile(rf"-> bool|[\"']\s*({'|'.join(ANNOUNCED)})"),
    find_module_pathlib: re.compile(r"\bimport\b.*\bpathlib"),
    find_clocks: re.compile("|".join(map(re.escape, CLOCKS))),
}
"""What every file with a finding contains. Other files are not parsed, which takes ten times longer than a search."""
SAMPLES: tuple[tuple[Check, str], ...] = (
    (find_odd_loggers, "logger = structlog.get_logger()"),
    (find_odd_loggers, "log = logging.getLogger(__name__)"),
    (find_odd_events, 'log.info("Job started", job=1)'),
    (find_odd_events, 'log.warning(f"{job}_started")'),
    (find_odd_predicates, 'def done(self):\n    """Tell whether it is done."""'),
    (find_odd_predicates, 'class A:\n    def is_done(self) -> bool:\n        """It is done."""'),
    (find_module_pathlib, "import pathlib as files"),
    (find_clocks, "now = dt.datetime.now(dt.UTC)"),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_code_follows_the_rule(check: Check) -> None:
    paths = [path for folder in CHECKS[check] for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 20
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in paths
        if HINTS[check].search(source := path.read_text())
        for line, text in check(ast.parse(source))
    ]
    assert not found


@pytest.mark.parametrize(("check", "sample"), SAMPLES)
def test_a_check_finds_its_sample(check: Check, sample: str) -> None:
    assert HINTS[check].search(sample)
    assert len(list(check(ast.parse(sample)))) == 1
