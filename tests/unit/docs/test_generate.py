"""The reference pages agree with the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "docs" / "generate.py"
PACKAGES = ("contracts", "storage", "operator", "evaluator", "trainer-image", "server-image", "cli")


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sources() -> str:
    return "\n".join(path.read_text() for name in PACKAGES for path in sorted((ROOT / name / "src").rglob("*.py")))


def test_reference_is_current() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_reason_has_a_meaning_and_a_remedy(generate) -> None:
    for enum in generate.REASONS.values():
        for reason in enum:
            assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason), repr(reason)
            assert reason.meaning.endswith((".", ")")), repr(reason)
            assert reason.remedy.endswith("."), repr(reason)


def test_every_enum_of_reasons_is_on_the_page(generate, sources: str) -> None:
    found = set(re.findall(r"^class (\w+)\((?:reasons\.)?Reason\):", sources, re.MULTILINE))
    assert found == {enum.__name__ for enum in generate.REASONS.values()}


def test_every_reason_in_a_string_is_on_the_page(generate, sources: str) -> None:
    written = set(re.findall(r'reason="(\w+)"', sources))
    assert written <= {reason.value for enum in generate.REASONS.values() for reason in enum}
