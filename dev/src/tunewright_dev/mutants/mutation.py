"""The mutants of a module's source: each changes one operator, constant, condition or result."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_MESSAGE_KEYWORDS = frozenset({"message", "meaning", "remedy"})
# Texts for users, which tests rarely compare completely, and parts that have no effect on the program.
_LEFT_ALONE = (ast.JoinedStr, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.pattern)
_CONTEXT = 30


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of a module: in `function` at `line`, the code `before` becomes `after`."""

    function: str
    line: int
    before: str
    after: str
    target: ast.AST
    changed: ast.AST
    occurrence: int = 1
    """Which one it is of several equal changes in a function."""

    @property
    def key(self) -> str:
        """Return a name without a line number, so that it does not change with other parts of the module."""
        again = f" ({self.occurrence})" if self.occurrence > 1 else ""
        return f"{self.function}: {self.before} => {self.after}{again}"


def list_mutants(tree: ast.Module) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines.

    Texts for users (f-strings, raised errors, log lines, ``message=``), annotations, decorators and patterns do not
    change.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    mutants: list[Mutant] = []
    for place in _walk(tree, "<module>", tree):
        for target, changed in _change(place.node):
            before, after = _describe(place.frame, target, changed)
            seen[place.function, before, after] += 1
            occurrence = seen[place.function, before, after]
            line = getattr(target, "lineno", 0)
            mutants.append(Mutant(place.function, line, before, after, target, changed, occurrence))
    return sorted(mutants, key=lambda mutant: mutant.line)


def choose_mutants(mutants: Sequence[Mutant], number: int, seed: str) -> list[Mutant]:
    """Return the `number` mutants with the lowest hashes of their keys, so that other code does not affect them."""

    def rank(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed}\0{mutant.key}".encode()).digest()

    chosen = sorted(mutants, key=rank)[:number]
    return sorted(chosen, key=lambda mutant: mutant.line)


def write_mutant(tree: ast.Module, mutant: Mutant) -> str:
    """Return the source of the whole module with one change."""
    _Replace(mutant.target, mutant.changed).visit(tree)
    source = ast.unparse(tree)
    _Replace(mutant.changed, mutant.target).visit(tree)
    return source


@dataclasses.dataclass(frozen=True)
class _Place:
    node: ast.AST
    function: str
    frame: ast.AST
    """The code that shows a change best: the statement around the node, or the expression in a compound statement."""


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self._target, self._replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self._target:
            return self._replacement
        self.generic_visit(node)
        return node


def _walk(node: ast.AST, function: str, frame: ast.AST) -> Iterator[_Place]:
    if isinstance(node, _LEFT_ALONE) or _is_message(node):
        return
    yield _Place(node, function, frame)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = node.name if function == "<module>" else f"{function}.{node.name}"
    compound = not isinstance(node, ast.expr | ast.keyword | ast.comprehension) and any(
        isinstance(child, ast.stmt | ast.match_case | ast.excepthandler) for child in ast.iter_child_nodes(node)
    )
    for child in _children(node):
        yield from _walk(child, function, child if compound or isinstance(child, ast.stmt) else frame)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that can change, without annotations and decorators."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from node.args.defaults
            yield from (default for default in node.args.kw_defaults if default is not None)
            yield from node.body
        case ast.ClassDef():
            yield from node.body
        case ast.AnnAssign():
            if node.value is not None:
                yield node.value
        case _:
            yield from ast.iter_child_nodes(node)


def _is_message(node: ast.AST) -> bool:
    match node:
        case ast.keyword(arg=str(name)):
            return name in _MESSAGE_KEYWORDS
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
            return True
    return False


def _change(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield the nodes to replace in or at a node, each with its replacement."""
    match node:
        case ast.Compare():
            for position, operator in enumerate(node.ops):
                other = _COMPARISONS[type(operator)]()
                ops = [*node.ops[:position], other, *node.ops[position + 1 :]]
                yield node, ast.Compare(node.left, ops, node.comparators)
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int(number) | float(number)):
            yield node, ast.Constant(number + 1)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            # Comparisons and `not` have other mutants.
            if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                yield test, ast.UnaryOp(ast.Not(), test)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant | ast.JoinedStr):
            yield node, ast.Return(ast.Constant(None))
        case _:
            yield from _change_operator(node)


def _change_operator(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    match node:
        case ast.BoolOp():
            yield node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node, node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield node, ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            yield node, ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, node.keywords)


def _describe(frame: ast.AST, target: ast.AST, changed: ast.AST) -> tuple[str, str]:
    """Return the code near a change, before and after the change."""
    before = _on_one_line(frame)
    if frame is target:
        after = _on_one_line(changed)
    else:
        _Replace(target, changed).visit(frame)
        after = _on_one_line(frame)
        _Replace(changed, target).visit(frame)
    start = max(0, _count_equal(before, after) - _CONTEXT)
    end = max(0, _count_equal(before[start:][::-1], after[start:][::-1]) - _CONTEXT)
    return _cut(before, start, end), _cut(after, start, end)


def _on_one_line(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _count_equal(first: str, second: str) -> int:
    """Return the length of the common prefix of two texts."""
    return next(
        (place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), len(first)
    )


def _cut(text: str, start: int, end: int) -> str:
    return ("…" if start else "") + text[start : len(text) - end].strip() + ("…" if end else "")
