"""Single values, and what a refusal says."""

import pytest

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_fields import values
from tunewright_server.http.request_fields.values import Limits

LIMITS = Limits(max_tokens=64, structured_outputs=False)


@pytest.mark.parametrize(
    ("rule", "value", "read"),
    [
        (values.whole(1, 4), 4, 4),
        (values.whole(1, 4), 2.0, 2),
        (values.tokens(1), 64, 64),
        (values.number(0, 2), 2, 2),
        (values.number(0, 2), 0.5, 0.5),
        (values.boolean, "off", False),
        (values.boolean, 1, True),
        (values.one_of("a", "b"), "b", "b"),
        (values.ignored, {"a": []}, values.DROPPED),
    ],
)
def test_accepted_values(rule, value, read):
    found = rule("x", value, LIMITS)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize("value", [0, 5, -1, 1.5, 2**62, True, "2", [2], {"a": 2}, 1e300])
def test_no_whole_number_in_the_range(value):
    with pytest.raises(RefusalError, match=r"^`n` is .*; send a whole number from 1 to 4$") as caught:
        values.whole(1, 4)("n", value, LIMITS)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, RefusalCode.INVALID_VALUE, "n")


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (values.tokens(1), 65),
        (values.tokens(1), 0),
        (values.number(0, 2), 2.1),
        (values.number(0, 2), True),
        (values.number(0, 2), "1"),
        (values.boolean, "maybe"),
        (values.boolean, 2),
        (values.one_of("a"), "b"),
        (values.one_of("a"), ["a"]),
    ],
)
def test_other_values(rule, value):
    with pytest.raises(RefusalError, match=r"^`x` is .*; send "):
        rule("x", value, LIMITS)


def test_a_long_value_is_shown_in_part():
    with pytest.raises(RefusalError) as caught:
        values.refuse("a[0].b" * 100, "x" * 5000, "less")
    assert len(caught.value.message) < 300
    assert caught.value.param == "a"


@pytest.mark.parametrize(
    ("value", "levels", "deeper"),
    [(1, 0, False), ({}, 0, False), ({"a": 1}, 0, True), ({"a": 1}, 1, False), ([[[1]]], 2, True)],
)
def test_nesting(value, levels, deeper):
    assert values.nests_deeper(value, levels) is deeper
