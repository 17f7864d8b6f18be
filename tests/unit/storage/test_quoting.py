"""Tenants' texts are short and valid JSON in every message."""

from tunewright_storage import quoting


def test_a_cut_text_keeps_its_beginning_and_its_end():
    assert quoting.shorten("abcdefghij", 10) == "abcdefghij"
    assert quoting.shorten("abcdefghijk", 10) == "abcde…hijk"
    assert quoting.shorten("abc", 1) == "…"
    assert quoting.shorten("abc", 0) == ""


def test_names_are_few_cut_and_quoted():
    shown = quoting.list_names(["a" * 1_000_000, "\ud800", "c", "d"])
    assert len(shown) < 4 * quoting.LONGEST_NAME
    assert shown.endswith("…" + "a" * 98 + "', '\\ud800', 'c' (4 in all)")
    assert quoting.list_names([]) == ""
