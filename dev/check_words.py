"""Find words and phrases that have a plainer form, in documentation, API descriptions, comments and messages.

``python dev/check_words.py`` checks the covered paths of ``dev/words.toml`` and fails on a hit. With paths as arguments
it checks those instead, covered or not, and prints every hit.
"""

from __future__ import annotations

import argparse
import bisect
import dataclasses
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "dev" / "words.toml"
SUFFIXES = frozenset(
    {"", ".cfg", ".go", ".in", ".j2", ".jinja", ".json", ".md", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml", ".yml"}
)
"""The suffixes of texts. Other files, such as images and lock files, are skipped."""
FENCE = re.compile(r"^\s*(```+|~~~+)\s*(\w*)")
CODE_SPAN = re.compile(r"`[^`\n]*`")
LITERAL = re.compile(r"(\w*)(\"{3}|'{3}|[\"'])(.*)\2", re.DOTALL)
INTERPOLATION = re.compile(r"\{[^{}]*\}")
LEAD = re.compile(r"^\s*(#+|//+|>|\*|-)?\s*")
"""What precedes the prose of a line: indentation, and the marks of comments and lists."""
STRING_TOKENS = frozenset({tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)})
"""Python 3.12 splits an f-string into tokens; the middle ones contain its text."""

Line = tuple[int, str]
"""A line's number, from 1, and its prose."""


@dataclasses.dataclass(frozen=True)
class Word:
    """An entry of the list: write ``instead`` for ``pattern``, except in one of the phrases in ``allows``."""

    pattern: re.Pattern[str]
    instead: str
    finds: tuple[str, ...]
    allows: tuple[re.Pattern[str], ...]
    allowed: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class WordList:
    """The content of the data file: the words, and which paths are checked."""

    words: tuple[Word, ...]
    covered: tuple[str, ...]
    skipped: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Hit:
    """A phrase in a file that has a plainer form."""

    path: str
    line: int
    phrase: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.phrase!r}: write {self.instead}"


def read_word_list(path: Path = DATA) -> WordList:
    """Read the list from a TOML file."""
    data = tomllib.loads(path.read_text())
    words = tuple(
        Word(
            pattern=compile_phrase(entry["pattern"]),
            instead=entry["instead"],
            finds=tuple(entry["finds"]),
            allows=tuple(compile_phrase(re.escape(phrase)) for phrase in entry.get("allows", ())),
            allowed=tuple(entry.get("allows", ())),
        )
        for entry in data["words"]
    )
    paths = data["paths"]
    return WordList(words, tuple(paths["covered"]), tuple(paths["skipped"]))


def compile_phrase(pattern: str) -> re.Pattern[str]:
    """Return a pattern that ignores case."""
    return re.compile(pattern, re.IGNORECASE)


def find_hits(path: str, lines: Sequence[Line], words: Iterable[Word]) -> Iterator[Hit]:
    """Yield the hits in one file, including phrases with a line break."""
    starts: list[int] = []
    offset = 0
    for _, prose in lines:
        starts.append(offset)
        offset += len(prose) + 1
    text = " ".join(prose for _, prose in lines)
    for word in words:
        spans = [match.span() for pattern in word.allows for match in pattern.finditer(text)]
        for match in word.pattern.finditer(text):
            if any(begin <= match.start() and match.end() <= end for begin, end in spans):
                continue
            number, _ = lines[bisect.bisect_right(starts, match.start()) - 1]
            yield Hit(path, number, match[0], word.instead)


def read_prose(path: Path) -> list[Line]:
    """Return the lines of prose in a file."""
    text = path.read_text()
    if path.suffix == ".py":
        return sorted(read_python(text))
    if path.suffix == ".md":
        return list(read_markdown(text))
    return [(number, strip_lead(line)) for number, line in enumerate(text.splitlines(), start=1)]


def read_python(text: str) -> Iterator[Line]:
    """Yield comments, docstrings and other strings; names and code are left out."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], strip_lead(token.string)
        elif token.type in STRING_TOKENS:
            for number, line in enumerate(unquote(token.string).split("\n"), start=token.start[0]):
                yield number, strip_lead(line)


def unquote(text: str) -> str:
    """Return a string literal's text, with the source's line breaks, and with … for each interpolated value."""
    match = LITERAL.fullmatch(text)
    if match is None:
        return text
    body = match[3].replace("\\n", " ")
    return INTERPOLATION.sub("…", body) if "f" in match[1].lower() else body


def read_markdown(text: str) -> Iterator[Line]:
    """Yield prose and YAML blocks, but no code spans and no other blocks, which contain names, commands and output."""
    fence, kept = "", True
    for number, line in enumerate(text.splitlines(), start=1):
        match = FENCE.match(line)
        if match and (not fence or line.strip() == fence):
            fence, kept = ("", True) if fence else (match[1], match[2] in {"yaml", "yml"})
        elif kept:
            yield number, strip_lead(line if fence else CODE_SPAN.sub("`", line))


def strip_lead(line: str) -> str:
    """Return a line with single spaces, without its indentation and the mark of a comment or list."""
    return " ".join(LEAD.sub("", line, count=1).split())


def list_files(paths: Iterable[str], skipped: Iterable[str]) -> list[Path]:
    """Return the files of the repository at or below the paths, including new ones.

    Raises:
        SystemExit: there is no file at or below a path.
    """
    hidden = tuple(skipped)
    files: set[Path] = set()
    for path in paths:
        command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", path]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        found = [name for name in names if name and (ROOT / name).is_file()]
        if not found:
            raise SystemExit(
                f"{path}: the repository has no such file or folder; correct dev/words.toml or the argument"
            )
        files.update(ROOT / name for name in found if not is_below(name, hidden))
    return sorted(path for path in files if path.suffix in SUFFIXES)


def is_below(name: str, paths: Iterable[str]) -> bool:
    """Return whether a file is one of the paths or is below one."""
    return any(name == path or name.startswith(path.rstrip("/") + "/") for path in paths)


def check(paths: Iterable[str], word_list: WordList) -> list[Hit]:
    """Return all hits in the files at or below the paths, in the order of path and line."""
    hits: list[Hit] = []
    for path in list_files(paths, word_list.skipped):
        name = str(path.relative_to(ROOT))
        hits += sorted(find_hits(name, read_prose(path), word_list.words), key=lambda hit: hit.line)
    return hits


def main() -> None:
    """Check the covered paths, or those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "paths", nargs="*", help="files or folders, from the repository's root; default: the covered paths"
    )
    arguments = parser.parse_args()
    word_list = read_word_list()
    hits = check(arguments.paths or word_list.covered, word_list)
    for hit in hits:
        print(hit)
    if hits:
        raise SystemExit(f"{len(hits)} phrases to replace; dev/words.toml has the list")


if __name__ == "__main__":
    main()
