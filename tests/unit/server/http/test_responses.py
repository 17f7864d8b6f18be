"""An answer is relayed under the alias' name; its texts and its end are recorded."""

import json

import pytest

from tunewright_server.http.ending import Ending
from tunewright_server.http.request_body import OFF_LOOP_BYTES
from tunewright_server.http.responses import AnswerRelay, AnswerTexts
from tunewright_server.output_contract.checker import MAX_ANSWER_BYTES

MODEL = "support--0123456789ab"


class Client:
    """A client behind a relay, and what it receives."""

    def __init__(self, **options) -> None:
        self.messages: list[dict] = []
        self.relay = AnswerRelay(self.take, "support", MODEL, MODEL, clock=lambda: 7.0, **options)

    async def take(self, message):
        self.messages.append(dict(message))

    async def start(self, kind: bytes, status: int = 200, *headers) -> None:
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *headers]}
        await self.relay(start)

    async def body(self, body: bytes, *, more: bool = False) -> None:
        await self.relay({"type": "http.response.body", "body": body, "more_body": more})

    @property
    def headers(self) -> dict:
        return dict(self.messages[0]["headers"])

    @property
    def text(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


def event(**fields) -> bytes:
    return b"data: " + json.dumps({"model": MODEL, **fields}).encode() + b"\n\n"


# --- whole answers ---------------------------------------------------------------------------------------------------


async def test_a_whole_answer_is_sent_after_its_length_is_known():
    client = Client()
    body = json.dumps({"model": MODEL, "choices": []}).encode()
    await client.start(b"application/json", 200, (b"Content-Length", str(len(body)).encode()))
    await client.body(body[:9], more=True)
    assert client.messages == []
    await client.body(body[9:])
    assert json.loads(client.text) == {"model": "support", "choices": []}
    assert client.headers[b"content-length"] == str(len(client.text)).encode()
    assert b"Content-Length" not in client.headers
    assert client.headers[b"x-tunewright-revision"] == MODEL.encode()


@pytest.mark.parametrize("size", [0, OFF_LOOP_BYTES])
async def test_a_large_answer_is_rewritten_like_a_small_one(size):
    client = Client()
    await client.start(b"application/json")
    await client.body(json.dumps({"model": MODEL, "x": "y" * size}).encode())
    assert json.loads(client.text) == {"model": "support", "x": "y" * size}


@pytest.mark.parametrize("body", [b"[1]", b"no json of " + MODEL.encode(), b""])
async def test_a_body_that_is_no_object_is_passed_on_without_the_revisions_name(body):
    client = Client()
    await client.start(b"application/json")
    await client.body(body)
    assert client.text == body.replace(MODEL.encode(), b"support")


async def test_an_object_without_a_model_gets_none():
    client = Client()
    await client.start(b"application/json")
    await client.body(b'{"a":1}')
    assert client.text == b'{"a":1}'


async def test_another_content_type_is_passed_on_unchanged():
    client = Client()
    await client.start(b"text/plain", 200, (b"content-length", b"3"))
    await client.body(b"a", more=True)
    await client.body(b"bc")
    assert client.text == b"abc"
    assert client.headers[b"content-length"] == b"3"


async def test_other_messages_are_passed_on():
    client = Client()
    await client.relay({"type": "http.response.trailers"})
    assert client.messages == [{"type": "http.response.trailers"}]


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_events_are_rewritten_however_they_are_split_into_chunks():
    client = Client()
    await client.start(b"text/event-stream; charset=utf-8")
    stream = event(choices=[{"index": 0, "delta": {"content": "é"}}]) + b": a comment\n\ndata: [DONE]\n\n"
    for position in range(len(stream)):
        await client.body(stream[position : position + 1], more=True)
    await client.body(b"")
    first, comment, done, rest = client.text.split(b"\n\n")
    assert json.loads(first.removeprefix(b"data: "))["model"] == "support"
    assert (comment, done, rest) == (b": a comment", b"data: [DONE]", b"")
    assert all(message["body"] for message in client.messages[1:-1]), "an empty chunk is not sent"
    assert client.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_the_rest_of_an_incomplete_stream_is_passed_on():
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(b"data: half an event of " + MODEL.encode())
    assert client.text == b"data: half an event of support"


async def test_the_usage_event_is_dropped_when_the_client_did_not_request_it():
    usage = event(choices=[], usage={"completion_tokens": 3})
    both = event(choices=[{"index": 0, "delta": {"content": "a"}}], usage={"completion_tokens": 2})
    for hide in (False, True):
        client = Client(hide_usage=hide)
        await client.start(b"text/event-stream")
        await client.body(both + usage)
        assert client.text.count(b"completion_tokens") == (1 if hide else 2)


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "ending"), [(200, Ending.WHOLE), (400, Ending.CLIENT_ERROR), (500, Ending.FAILED)])
async def test_an_answer_ends_with_its_last_byte(status, ending):
    client = Client()
    await client.start(b"application/json", status)
    await client.body(b"{", more=True)
    assert (client.relay.ending, client.relay.finished_at) == (Ending.UNFINISHED, None)
    await client.body(b"}")
    assert (client.relay.ending, client.relay.finished_at) == (ending, 7.0)


@pytest.mark.parametrize(
    ("code", "ending"),
    [(500, Ending.FAILED), (503, Ending.FAILED), (None, Ending.FAILED), ("x", Ending.FAILED), (400, Ending.WHOLE)],
)
async def test_an_error_inside_a_stream(code, ending):
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(event(error={"message": f"{MODEL} failed", "code": code}), more=True)
    assert b"support failed" in client.text
    await client.body(b"data: [DONE]\n\n")
    assert client.relay.ending is ending


async def test_an_error_in_the_last_chunk_counts_too():
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(event(error={"code": 500}))
    assert client.relay.ending is Ending.FAILED


async def test_a_disconnect_before_the_last_byte_abandons_the_answer():
    client = Client()
    await client.start(b"application/json")
    client.relay.note_disconnect()
    await client.body(b"null")
    client.relay.end(Ending.FAILED)
    assert client.relay.ending is Ending.ABANDONED


async def test_a_disconnect_after_the_last_byte_changes_nothing():
    client = Client()
    await client.start(b"application/json")
    await client.body(b"{}")
    client.relay.note_disconnect()
    assert client.relay.ending is Ending.WHOLE


# --- texts -----------------------------------------------------------------------------------------------------------


def record_events(*events) -> AnswerTexts:
    texts = AnswerTexts()
    for item in events:
        texts.note(item)
    return texts


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
