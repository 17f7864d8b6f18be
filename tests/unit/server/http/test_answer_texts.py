"""The texts and the length of an answer, complete or streamed."""

import pytest

from tunewright_server.http.answer_texts import AnswerTexts
from tunewright_server.http.client_options import ClientOptions
from tunewright_server.output_contract.checker import MAX_ANSWER_BYTES


def record_events(*events, options: ClientOptions | None = None) -> AnswerTexts:
    texts = AnswerTexts(options)
    for item in events:
        texts.note(item)
    return texts


def piece(text: str = "a", index: int = 0, tokens: int | None = None) -> dict:
    usage = {} if tokens is None else {"usage": {"completion_tokens": tokens}}
    return {"choices": [{"index": index, "delta": {"content": text}}], **usage}


def test_the_texts_of_a_stream_are_joined_by_choice():
    pieces = [(0, "a"), (1, "x"), (0, "b"), (1, None), (1, "y")]
    texts = record_events(*({"choices": [{"index": index, "delta": {"content": text}}]} for index, text in pieces))
    assert texts.texts() == ["ab", "xy"]
    assert texts.completion_tokens is None


def test_the_texts_of_a_whole_answer():
    chat = {"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 5}}
    assert (record_events(chat).texts(), record_events(chat).completion_tokens) == (["a"], 5)
    assert record_events({"choices": [{"index": 0, "text": "b"}], "usage": None}).texts() == ["b"]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"usage": {"completion_tokens": 1}}],
        [{"choices": [{"message": {"content": None, "tool_calls": [{"id": "1"}]}}]}],
        [{"choices": [{"delta": {"content": "a"}}]}, {"choices": [{"delta": {"tool_calls": [{"id": "1"}]}}]}],
    ],
)
def test_answers_without_a_text_to_check(events):
    assert record_events(*events).texts() is None


def test_of_a_too_long_answer_only_a_part_is_kept():
    piece = {"choices": [{"index": 0, "delta": {"content": "x" * MAX_ANSWER_BYTES}}]}
    (text,) = record_events(piece, piece, piece).texts()
    assert MAX_ANSWER_BYTES < len(text) <= 2 * MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([piece(), piece()], None),
        ([piece(tokens=1), piece(tokens=3)], 3),
        ([piece(tokens=1), piece(index=1, tokens=2), piece(tokens=3)], 5),
        ([piece(tokens=1), {"choices": [], "usage": {"completion_tokens": 4}}], 4),
        ([{"choices": [{"message": {}}, {"message": {}}], "usage": {"completion_tokens": 9}}], 9),
    ],
)
def test_the_tokens_of_all_choices(events, tokens):
    assert record_events(*events).completion_tokens == tokens


@pytest.mark.parametrize(
    ("events", "choices", "too_long"),
    [
        ([], 1, False),
        ([piece(), piece()], 1, False),
        ([piece(), piece(), piece()], 1, True),
        ([piece(), piece(""), piece("")], 1, False),
        ([piece(tokens=2)], 1, False),
        ([piece(tokens=3)], 1, True),
        ([{"choices": [{"text": "a"}], "usage": {"completion_tokens": 3}}], 1, True),
        ([piece(tokens=3)], 2, False),
        ([piece(tokens=4), piece(index=1, tokens=1)], 2, True),
        ([piece(tokens=3), piece(index=1, tokens=1)], 1, False),
        ([piece(tokens=9), {"choices": [{"delta": {"tool_calls": [{"id": "1"}]}}]}], 1, False),
        ([{"choices": [], "usage": {"completion_tokens": 3}}], 1, True),
    ],
)
def test_an_unfinished_stream_is_too_long_when_its_choices_have_more_tokens_than_allowed(events, choices, too_long):
    assert record_events(*events, options=ClientOptions(choices=choices)).exceeds(2) == too_long


@pytest.mark.parametrize(
    ("options", "texts"),
    [(ClientOptions(), ["ab", "xy"]), (ClientOptions(limits_tokens=True), [None, "xy"])],
)
def test_a_choice_that_the_clients_options_cut_has_no_text_to_check(options, texts):
    last = piece("b")
    last["choices"][0]["finish_reason"] = "length"
    other = piece("xy", index=1)
    other["choices"][0]["finish_reason"] = "stop"
    assert record_events(piece("a"), other, last, options=options).texts() == texts
