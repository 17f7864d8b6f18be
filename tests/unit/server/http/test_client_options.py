"""The client's options are read as vLLM reads them."""

import pytest

from tunewright_server.http.client_options import ClientOptions


@pytest.mark.parametrize(
    ("data", "choices"),
    [
        ({}, 1),
        ({"n": None}, 1),
        ({"n": 3}, 3),
        ({"n": "3"}, 3),
        ({"n": 2.0}, 2),
        ({"n": 0}, 1),
        ({"prompt": "a"}, 1),
        ({"prompt": ["a", "b"]}, 2),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
    ],
)
def test_choices(data, choices):
    assert ClientOptions.of_request(data).choices == choices


@pytest.mark.parametrize("number", ["many", [], {}, 1e300, float("inf")])
def test_a_number_of_choices_that_cannot_be_read_makes_no_length_too_long(number):
    assert ClientOptions.of_request({"n": number}).choices > 1_000_000
