"""The word list finds what it lists, in every kind of file, and covers what it says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "dev" / "check_words.py"


def load_script():
    spec = importlib.util.spec_from_file_location("check_words", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_words"] = module
    spec.loader.exec_module(module)
    return module


check_words = load_script()
WORD_LIST = check_words.read_word_list()


def find(path: Path) -> list[tuple[int, str]]:
    hits = check_words.find_hits(path.name, check_words.read_prose(path), WORD_LIST.words)
    return sorted((hit.line, hit.phrase) for hit in hits)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("word", WORD_LIST.words, ids=lambda word: word.finds[0])
def test_each_entry_finds_its_examples(word) -> None:
    assert word.finds
    for phrase in word.finds:
        assert list(check_words.find_hits("a", [(1, phrase)], [word])), phrase
    for phrase in word.allowed:
        assert not list(check_words.find_hits("a", [(1, phrase)], [word])), phrase


def test_covered_paths_hold_none() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_is_covered_or_skipped() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    listed = (*WORD_LIST.covered, *WORD_LIST.skipped)
    unlisted = [name for name in tracked if not check_words.is_below(name, (*listed, ".gitignore", "LICENSE", ".ci"))]
    assert unlisted == []


def test_paths_exist() -> None:
    for path in (*WORD_LIST.covered, *WORD_LIST.skipped):
        assert (ROOT / path).exists(), path


def test_a_phrase_that_a_line_break_splits_is_found(tmp_path: Path) -> None:
    page = write(tmp_path, "page.md", "The candidate is rolled back by\nitself.\n")
    assert find(page) == [(1, "by itself")]


def test_comments_docstrings_and_messages_of_python_are_searched_and_names_are_not(tmp_path: Path) -> None:
    text = '"""Mend\nit anew."""\n\nmend = anew = 1  # by\n# itself\nmessage = f"{mend} goes on"\n'
    found = find(write(tmp_path, "module.py", text))
    assert found == [(1, "Mend"), (2, "anew"), (4, "by itself"), (6, "goes on")]


def test_code_of_a_page_is_left_out_and_its_manifests_are_not(tmp_path: Path) -> None:
    text = "Run `mend --anew`.\n\n```\nmend it\n```\n\n```yaml\na: 1  # mend it\n```\n\nMend it.\n"
    assert find(write(tmp_path, "page.md", text)) == [(8, "mend"), (11, "Mend")]


def test_any_other_file_is_searched_whole(tmp_path: Path) -> None:
    text = "# Run by\n# itself\nkey: >-\n  Goes\n  on\n"
    assert find(write(tmp_path, "file.yaml", text)) == [(1, "by itself"), (4, "Goes on")]


def test_a_path_prints_its_hits_whether_it_is_covered_or_not(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "tests/unit/docs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "tests/unit/docs" in done.stdout or done.returncode == 0
    missing = subprocess.run([sys.executable, SCRIPT, "no/such/path"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "no/such/path" in missing.stderr
