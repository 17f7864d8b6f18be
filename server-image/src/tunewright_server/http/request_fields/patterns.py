"""How large a regular expression becomes when its counted repetitions are written out.

Compilers of grammars write them out: `(a{1,1000}){1,1000}` has 16 characters and a million states.
"""

from __future__ import annotations

import re

from tunewright_server.request_limits import MAX_PATTERN_NESTING

_COUNT = re.compile(r"\{\s*([0-9]*)\s*(?:,\s*([0-9]*)\s*)?\}")
_MOST_DIGITS = 6
HUGE = 1_000_000
"""Stands for any size that is not worth computing."""


def measure(pattern: str) -> int:
    """Return the size of a pattern in which each counted repetition is written out, at most `HUGE`.

    The pattern need not be valid. Groups nested more than `MAX_PATTERN_NESTING` levels are `HUGE`.
    """
    groups = [0]
    """The size of each open group, without its last item."""
    items = [0]
    """The size of the last item of each open group, which a count after it repeats."""
    place = 0
    while place < len(pattern):
        character = pattern[place]
        count = _COUNT.match(pattern, place) if character == "{" else None
        if count is not None and any(count.groups()):
            items[-1] = min(HUGE, items[-1] * _read_count(count))
            place = count.end()
            continue
        if character == "(":
            if len(groups) > MAX_PATTERN_NESTING:
                return HUGE
            groups.append(0)
            items.append(0)
        elif character == ")" and len(groups) > 1:
            size = groups.pop() + items.pop()
            groups[-1] += items[-1]
            items[-1] = max(1, size)
        elif character not in "*+?":
            groups[-1] += items[-1]
            items[-1] = 1
        place = _end_of_item(pattern, place)
        if groups[-1] + items[-1] >= HUGE:
            return HUGE
    return min(HUGE, sum(groups) + sum(items))


def multiply_counts(text: str) -> int:
    """Return the product of all counts in a text, at most `HUGE`: a bound for any grammar, whatever its syntax."""
    product = 1
    for count in _COUNT.finditer(text):
        product = min(HUGE, product * _read_count(count))
    return product


def _read_count(count: re.Match[str]) -> int:
    numbers = [text for text in count.groups() if text]
    if any(len(text.lstrip("0")) > _MOST_DIGITS for text in numbers):
        return HUGE
    return max(1, *(int(text) for text in numbers)) if numbers else 1


def _end_of_item(pattern: str, place: int) -> int:
    """Return the place after an escaped character, a class of characters, or one character."""
    if pattern[place] == "\\":
        return place + 2
    if pattern[place] != "[":
        return place + 1
    # A bracket directly after the opening one, or after its negation, is a member of the class.
    inside = place + 2 if pattern.startswith("^", place + 1) else place + 1
    inside += pattern.startswith("]", inside)
    while inside < len(pattern) and pattern[inside] != "]":
        inside += 2 if pattern[inside] == "\\" else 1
    return inside + 1
