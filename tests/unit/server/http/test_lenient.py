"""Values are read exactly as pydantic, and therefore vLLM, reads them."""

import json

import pydantic
import pytest

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.lenient import check_integers, has_long_number, read_boolean

PYDANTIC = pydantic.TypeAdapter(bool)
VALUES = [
    *(True, False, 0, 1, 2, -1, 0.0, 1.0, -0.0, 0.5, 1e300, 10**30, None, [], {}, [True]),
    *("1", "0", "t", "F", "yes", "NO", "y", "n", "On", "oFF", "TRUE", "False", "false", "true"),
    *("", " true", "true ", "2", "1.0", "yess", "tru", "ja", "ｔｒｕｅ", "ﬀ", "oﬀ", "null", "None"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_boolean_is_read_as_pydantic_reads_it(value):
    try:
        expected = PYDANTIC.validate_python(value)
    except pydantic.ValidationError:
        expected = None
    assert read_boolean(value) is expected


LARGE = 2**64


@pytest.mark.parametrize(
    ("body", "field", "param"),
    [
        ({"seed": LARGE}, "seed", "seed"),
        ({"seed": -(2**63) - 1}, "seed", "seed"),
        (b'{"seed": 1%s}' % (b"0" * 5000), "seed", "seed"),
        ({"logit_bias": {"5": LARGE}}, "logit_bias.5", "logit_bias"),
        ({"a": [1, {"b": [LARGE]}]}, "a[1].b[0]", "a"),
        (
            {"tools": [{"function": {"parameters": {"maximum": 10**20}}}]},
            "tools[0].function.parameters.maximum",
            "tools",
        ),
    ],
)
def test_an_integer_of_more_than_64_bits_is_refused(body, field, param):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RefusalError) as caught:
        check_integers(text)
    assert caught.value.message.startswith(f"`{field}` is ")
    assert "64 bits; send a smaller one" in caught.value.message
    assert len(caught.value.message) < 200
    assert (caught.value.status, caught.value.code) == (400, RefusalCode.INTEGER_OUT_OF_RANGE)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "value",
    [2**64 - 1, -(2**63), 1e20, 0.1234567890123456789012, "1" * 30, {"1" * 30: 1}, 1.5e300],
)
def test_other_long_numbers_are_accepted(value):
    check_integers(json.dumps({"x": value}).encode())


@pytest.mark.parametrize("offset", range(20))
@pytest.mark.parametrize(("digits", "long"), [(18, False), (19, True), (20, True), (300, True)])
def test_long_numbers_are_found_at_every_position(offset, digits, long):
    assert has_long_number(b"x" * offset + b"7" * digits + b" 12345") == long


def test_a_text_with_many_short_numbers_has_no_long_one():
    assert not has_long_number(b"1764295200000 123456789012345678, " * 1000 + "\N{FULLWIDTH DIGIT ONE}".encode() * 30)
