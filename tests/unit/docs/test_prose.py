"""Pages have one sentence per line, and their links work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "charts" / "tunewright" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
CODE_SPAN = re.compile(r"`[^`\n]*`")
MARK = re.compile(r"^ *([-*]|\d+\.) +")
MATHS = re.compile(r"\$[^$\n]+\$")
ENDS = (".", ":", "?", "!", ".)", ".*", ".**", "?)", '."', ";")
NEXT_SENTENCE = re.compile(r"""(?<![A-Z])(?<!e\.g)(?<!i\.e)(?<!vs)[.?!][)"*]* +(?=[A-Z`\[])""")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def read_prose(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line number, line without code and maths, whether a paragraph or list item ends on it)."""
    lines = text.splitlines()
    fenced = False
    for number, line in enumerate(lines, start=1):
        following = lines[number].strip() if number < len(lines) else ""
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and line.strip() and not line.startswith(("|", "#", "<!--", "$$", "[", "## ")):
            ends = not following or re.match(r"([-*|#]|\d+\.|```|\$\$)", following) is not None
            prose = MARK.sub("", MATHS.sub("`m`", CODE_SPAN.sub("`c`", line)))
            yield number, prose.strip(), ends


def find_breaks(text: str) -> list[str]:
    """Return the lines with two sentences, or with an incomplete one."""
    found = []
    sources = text.find("\n## Sources")
    for number, line, ends in read_prose(text if sources < 0 else text[:sources]):
        if NEXT_SENTENCE.search(line):
            found.append(f"{number}: two sentences: {line[:80]}")
        elif not ends and not line.endswith(ENDS):
            found.append(f"{number}: ends inside a sentence: {line[:80]}")
    return found


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    titles = (re.sub(r"[^\w\- ]", "", title.strip().lower()) for title in HEADING.findall(text))
    return {title.replace(" ", "-") for title in titles}


def find_broken_links(path: Path, text: str) -> list[str]:
    broken = []
    for target in LINK.findall(CODE_SPAN.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if not page.exists() or (anchor and page.suffix == ".md" and anchor not in anchors(page.read_text())):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_one_sentence_per_line(page: Path) -> None:
    assert find_breaks(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_work(page: Path) -> None:
    assert find_broken_links(page, page.read_text()) == []


def test_every_page_is_linked_from_the_readme_or_a_linked_page() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = (target.partition("#")[0] for target in LINK.findall(page.read_text()) if ":" not in target)
        waiting += [(page.parent / target).resolve() for target in targets if target]
    adrs = set((ROOT / "docs" / "adr").glob("*.md"))
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - adrs <= seen


def test_breaks_are_found() -> None:
    text = "One. Two.\nThree\nends here.\n\n```\nA. B.\n```\n\n| A. B. |\n\n- an item\n- an item of\n  two lines\n"
    assert [line.partition(":")[0] for line in find_breaks(text)] == ["1", "2", "12"]


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("## A title: `x`, or y\n")
    text = "[a](b.md) [b](b.md#a-title-x-or-y) [c](b.md#none) [d](none.md) [e](https://example.com) `[f](none)`"
    assert find_broken_links(tmp_path / "a.md", text) == ["b.md#none", "none.md"]
