"""Each mutant is one change; the choice of mutants is stable."""

from __future__ import annotations

import ast

import pytest

from tunewright_dev.mutants.mutation import choose_mutants, list_mutants, write_mutant


def changes(source: str) -> set[str]:
    """Return what each mutant of a function's body does, as ``before => after``."""
    return {f"{mutant.before} => {mutant.after}" for mutant in list_mutants(ast.parse(source))}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("x = a < b", {"x = a < b => x = a <= b"}),
        ("x = a >= b", {"x = a >= b => x = a > b"}),
        ("x = a == b", {"x = a == b => x = a != b"}),
        ("x = a is b", {"x = a is b => x = a is not b"}),
        ("x = a in b", {"x = a in b => x = a not in b"}),
        ("x = a < b < c", {"x = a < b < c => x = a <= b < c", "x = a < b < c => x = a < b <= c"}),
        ("x = a and b", {"x = a and b => x = a or b"}),
        ("x = not a", {"x = not a => x = a"}),
        ("x = a - b", {"x = a - b => x = a + b"}),
        ("x = a // b", {"x = a // b => x = a * b"}),
        ("x = 3", {"x = 3 => x = 4"}),
        ("x = True", {"x = True => x = False"}),
        ("x = min(a, b)", {"x = min(a, b) => x = max(a, b)"}),
        ("x = a if b else c", {"x = a if b else c => x = a if not b else c"}),
        ("if a: b()", {"if a: b() => if not a: b()"}),
        ("if a < b: c()", {"a < b => a <= b"}),
        ("x = 'text'", set()),
        ("x: int | None = a", set()),
        ("x = f'{a + 1} of {b}'", set()),
        ("raise ValueError(a + 1)", set()),
        ("log.info('done', seconds=a + 1)", set()),
        ("tell(message=a + b)", set()),
        ("assert a < b", set()),
    ],
)
def test_the_changes_of_a_statement(statement, expected):
    assert changes(statement) == expected


def test_a_result_is_removed_unless_it_is_a_constant_or_a_text():
    source = "def f(a):\n    return a\ndef g():\n    return None\ndef h(a):\n    return f'{a}'"
    assert changes(source) == {"return a => return None"}


def test_annotations_decorators_and_patterns_are_not_mutated():
    source = "@cache(1)\ndef f(a: Literal[2] = 3) -> Literal[4]:\n    match a:\n        case 5:\n            x = 6\n"
    assert changes(source) == {"3 => 4", "x = 6 => x = 7"}


def test_a_mutant_is_the_whole_module_with_one_change_and_the_tree_is_unchanged():
    tree = ast.parse("def f(a, b):\n    if a < 1 and b < 1:\n        return a\n")
    before = ast.unparse(tree)
    sources = [write_mutant(tree, mutant) for mutant in list_mutants(tree)]
    assert ast.unparse(tree) == before
    assert len(set(sources)) == len(sources) == 6
    assert "def f(a, b):\n    if a < 1 or b < 1:\n        return a" in sources


def test_a_key_names_the_function_and_numbers_equal_changes():
    tree = ast.parse("class A:\n    def f(self):\n        x = 1\n        x = 1\n")
    first, second = list_mutants(tree)
    assert first.key == "A.f: x = 1 => x = 2"
    assert second.key == "A.f: x = 1 => x = 2 (2)"
    assert (first.line, second.line) == (3, 4)


def test_only_the_lines_around_a_change_are_shown():
    (mutant,) = list_mutants(ast.parse(f"f({'a' * 100}, 'b' * len(c), {'d' * 100})"))
    assert mutant.before == f"…{'a' * 24}, 'b' * len(c), {'d' * 21}…"
    assert "'b' / len(c)" in mutant.after


def test_a_choice_does_not_depend_on_the_rest_of_the_module():
    first = list_mutants(ast.parse("\n".join(f"x{number} = a < b" for number in range(30))))
    more = list_mutants(ast.parse("\n\ny = 1\n" + "\n".join(f"x{number} = a < b" for number in range(30))))
    chosen = {mutant.key for mutant in choose_mutants(first, 8, "seed")}
    assert len(chosen) == 8
    assert len(chosen - {mutant.key for mutant in choose_mutants(more, 9, "seed")}) <= 1
    assert chosen != {mutant.key for mutant in choose_mutants(first, 8, "other seed")}
