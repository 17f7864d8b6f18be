"""The code map has exactly one line for every package."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "code-map.md"


def test_every_package_has_a_line() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    found = {
        name.partition("/src/")[2].removesuffix("/__init__.py").replace("/", ".")
        for name in tracked
        if "/src/" in name and name.endswith("/__init__.py")
    }
    assert set(re.findall(r"^\| `(tunewright_[a-z_.]+)` \|", PAGE.read_text(), re.MULTILINE)) == found


def test_every_folder_has_a_line() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {name.partition("/")[0] + "/" for name in tracked if "/" in name and not name.startswith(".")}
    assert set(re.findall(r"^\| `([a-z-]+/)` \|", PAGE.read_text(), re.MULTILINE)) == folders
