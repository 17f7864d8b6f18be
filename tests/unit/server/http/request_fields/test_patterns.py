"""Counted repetitions are multiplied as a compiler writes them out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_server.http.request_fields.patterns import HUGE, measure, multiply_counts


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("", 0),
        ("abc", 3),
        ("a{3}", 3),
        ("a{2,5}b", 6),
        ("a{7,}", 7),
        ("a{,5}", 5),
        ("a{0}", 1),
        ("a{ 2 , 4 }", 4),
        ("[a-z]{10}", 10),
        (r"[]\]a]{10}", 10),
        ("[^]]{10}", 10),
        (r"\d{10}", 10),
        (r"\\{10}", 10),
        (r"\{10}", 4),
        ("(ab){10}", 20),
        ("(a|bc){10}", 40),
        ("(a{10}b){10}", 110),
        ("((a{10}){10}){10}", 1000),
        ("(?:a{10}){10}", 110),
        ("(a{10}){10}(b{10}){10}", 200),
        ("a*b+c?", 3),
        ("a{x}", 4),
        ("a{}", 3),
        ("a{2}{3}", 6),
        ("a)b{3}", 5),
        ("(((", 0),
    ],
)
def test_size(pattern, size):
    assert measure(pattern) == size


@pytest.mark.parametrize(
    "pattern",
    ["a{99999999999}", "(a{1000}){1000}", "((a{99}){99}){99}" * 2, "(" * 20 + "a" + ")" * 20, "a{1" + "0" * 500 + "}"],
)
def test_huge(pattern):
    assert measure(pattern) == HUGE


@given(st.text(st.sampled_from("a()[]{}\\|*+?^,0129 ")))
def test_any_text_has_a_size(pattern):
    assert 0 <= measure(pattern) <= HUGE


@given(
    st.recursive(
        st.just(("a", 1)),
        lambda inner: st.lists(st.tuples(inner, st.integers(1, 4)), min_size=1, max_size=3).map(
            lambda items: (
                "(" + "".join(f"{text}{{{count}}}" for (text, _), count in items) + ")",
                sum(size * count for (_, size), count in items),
            )
        ),
        max_leaves=6,
    )
)
def test_the_size_is_that_of_the_written_out_pattern(built):
    pattern, size = built
    assert measure(pattern) == min(HUGE, size)


def test_counts_of_a_grammar_are_multiplied():
    assert multiply_counts("root ::= a{1,10} b{5}\na ::= [0-9]{2}") == 100
    assert multiply_counts('root ::= "x"') == 1
    assert multiply_counts("a{1000}" * 9) == HUGE
