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


CHAT = {"messages": []}


@pytest.mark.parametrize(
    ("data", "finish_reason", "stop_reason", "cut"),
    [
        (CHAT, "length", None, False),
        ({**CHAT, "max_tokens": None, "max_completion_tokens": None}, "length", None, False),
        ({**CHAT, "max_tokens": 5}, "length", None, True),
        ({**CHAT, "max_completion_tokens": 5}, "length", None, True),
        ({**CHAT, "max_tokens": 5}, "stop", None, False),
        ({**CHAT, "ignore_eos": True}, "length", None, True),
        ({"prompt": "a"}, "length", None, True),
        ({"prompt": "a", "max_tokens": None}, "length", None, False),
        ({**CHAT, "stop": ["\n"]}, "stop", "\n", True),
        ({**CHAT, "stop": "\n"}, "stop", None, False),
        ({**CHAT, "stop_token_ids": [7]}, "stop", 7, True),
        ({**CHAT, "stop_token_ids": [7]}, "stop", 2, False),
        ({**CHAT, "stop_token_ids": [[], "x"]}, "stop", 2, False),
        ({**CHAT, "stop_token_ids": 7}, "stop", 7, False),
        ({**CHAT, "repetition_detection": {}}, "repetition", "repetition_detected", True),
        ({**CHAT, "max_tokens": 5}, "tool_calls", None, False),
        ({**CHAT, "max_tokens": 5}, None, None, False),
    ],
)
def test_an_answer_is_cut_by_the_clients_own_limit_or_stop_sequence(data, finish_reason, stop_reason, cut):
    assert ClientOptions.of_request(data).cut(finish_reason, stop_reason) is cut


def test_a_token_that_training_taught_cuts_no_answer():
    options = ClientOptions.of_request({**CHAT, "stop_token_ids": [7, 9]}, taught=(9, 2))
    assert [options.cut("stop", token) for token in (7, 9, 2)] == [True, False, False]
