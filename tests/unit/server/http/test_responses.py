"""An answer is relayed under the alias' name; its texts and its end are recorded."""

import json

import pytest

from tunewright_server.http.ending import Ending
from tunewright_server.http.request_body import OFF_LOOP_BYTES
from tunewright_server.http.responses import AnswerRelay

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


@pytest.mark.parametrize(("hide", "counts"), [(False, [1, 2, 2]), (True, [None, None, 2])])
async def test_the_usage_of_each_event_is_dropped_when_the_client_did_not_request_it(hide, counts):
    client = Client(hide_running_usage=hide)
    await client.start(b"text/event-stream")
    for tokens in (1, 2):
        choices = [{"index": 0, "delta": {"content": "a"}}]
        await client.body(event(choices=choices, usage={"completion_tokens": tokens}), more=True)
    await client.body(event(choices=[], usage={"completion_tokens": 2}))
    events = [json.loads(line.removeprefix(b"data: ")) for line in client.text.split(b"\n\n") if line]
    assert [item.get("usage", {}).get("completion_tokens") for item in events] == counts


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "ending"), [(200, Ending.WHOLE), (400, Ending.CLIENT_ERROR), (500, Ending.FAILED)])
async def test_an_answer_ends_with_its_last_byte(status, ending):
    client = Client()
    await client.start(b"application/json", status)
    await client.body(b"{", more=True)
    assert (client.relay.ending, client.relay.finished_at) == (Ending.UNFINISHED, None)
    await client.body(b"}")
    assert (client.relay.ending, client.relay.finished_at) == (ending, 7.0)


ERROR = {"message": f"{MODEL} failed"}


@pytest.mark.parametrize(
    "fields",
    [
        *({"error": {**ERROR, "code": code}} for code in (500, 503, None, "x", 400, 404, 429)),
        {"error": ERROR["message"]},
        {"object": "error", **ERROR, "code": 400},
        {"choices": [{"index": 0, "delta": {"content": "support failed"}, "finish_reason": "error"}]},
    ],
)
@pytest.mark.parametrize("head", [b"", b"event: error\n"])
async def test_an_error_inside_a_stream(fields, head):
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(head + event(**fields), more=True)
    assert client.text.startswith(head + b"data: ")
    assert b"support failed" in client.text
    assert MODEL.encode() not in client.text
    await client.body(b"data: [DONE]\n\n")
    assert client.relay.ending is Ending.FAILED


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        ({"error": ERROR}, Ending.FAILED),
        ({"choices": [{"finish_reason": "error"}]}, Ending.FAILED),
        ({"choices": [{"finish_reason": "abort"}]}, Ending.CANCELLED),
        ({"choices": [{"finish_reason": "stop"}], "error": None}, Ending.WHOLE),
    ],
)
async def test_an_error_in_a_whole_answer(fields, ending):
    client = Client()
    await client.start(b"application/json")
    await client.body(json.dumps({"model": "x", **fields}).encode())
    assert MODEL.encode() not in client.text
    assert client.relay.ending is ending


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415])
async def test_a_client_is_not_blamed_if_vllm_does_not_know_its_revision(status):
    client = Client()
    await client.start(b"application/json", status, (b"content-length", b"9"))
    await client.body(b"The model", more=True)
    assert client.messages == []
    await client.body(f" `{MODEL}` does not exist. Valid aliases: tiny.".encode())
    assert client.messages[0]["status"] == 503
    assert json.loads(client.text)["error"]["code"] == "adapter_unavailable"
    assert client.headers[b"retry-after"] == b"5"
    assert client.headers[b"content-length"] == str(len(client.text)).encode()
    assert client.headers[b"x-tunewright-revision"] == MODEL.encode()
    assert (client.relay.ending, client.relay.misrouted_status) == (Ending.FAILED, status)


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
async def test_other_answers_of_vllm_are_passed_on(status):
    client = Client()
    await client.start(b"application/json", status)
    await client.body(b"{}")
    assert client.messages[0]["status"] == status
    assert client.relay.misrouted_status is None


async def test_an_error_in_the_last_chunk_counts_too():
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(event(error={"code": 500}))
    assert client.relay.ending is Ending.FAILED


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_an_event_without_an_empty_line_after_it_counts_too(end):
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(event(choices=[]) + event(error={"message": f"{MODEL} failed", "code": 400}).rstrip() + end)
    assert b"support failed" in client.text
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


async def test_a_stream_is_complete_with_its_last_event():
    """Clients close the connection when they have read it, which can be before the app's last, empty message."""
    client = Client()
    await client.start(b"text/event-stream")
    await client.body(event(choices=[]) + b"data: [DONE]\n\n", more=True)
    assert (client.relay.ending, client.relay.finished_at) == (Ending.WHOLE, 7.0)
    client.relay.note_disconnect()
    client.relay.end(Ending.FAILED)
    await client.body(b"")
    assert client.relay.ending is Ending.WHOLE


@pytest.mark.parametrize(
    ("kind", "bodies", "delivered", "ending"),
    [
        (b"application/json", [b'{"a":', b"1}"], 0, Ending.ABANDONED),
        (b"application/json", [b'{"a":', b"1}"], 1, Ending.ABANDONED),
        (b"application/json", [b'{"a":', b"1}"], 2, Ending.WHOLE),
        (b"text/event-stream", [b"data: {}\n\n", b"data: [DONE]\n\n", b""], 1, Ending.ABANDONED),
        (b"text/event-stream", [b"data: {}\n\n", b"data: [DONE]\n\n", b""], 2, Ending.ABANDONED),
        (b"text/event-stream", [b"data: {}\n\n", b"data: [DONE]\n\n", b""], 3, Ending.WHOLE),
        (b"text/event-stream", [b"data: {}\n\n", b"data: [DONE]\n\n", b""], 4, Ending.WHOLE),
    ],
)
async def test_a_server_that_cannot_send_any_longer_has_lost_its_client(kind, bodies, delivered, ending):
    client = Client()

    async def take(message):
        if len(client.messages) == delivered:
            raise OSError("connection lost")
        client.messages.append(message)

    client.relay._send = take
    try:
        await client.start(kind)
        for number, body in enumerate(bodies, start=1):
            await client.body(body, more=number < len(bodies))
    except OSError:
        client.relay.end(Ending.FAILED)  # as the middleware does after an exception
    assert client.relay.ending is ending


# --- stop tokens that the client did not name ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop_reason", "shown"), [(2, None), (7, 7), ("END", "END"), (None, None), ("absent", "absent")]
)
@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
async def test_an_added_stop_token_is_no_stop_reason(kind, stop_reason, shown):
    client = Client(added_stops=frozenset({2}))
    choice = {"index": 0, "finish_reason": "stop"} | ({} if stop_reason == "absent" else {"stop_reason": stop_reason})
    data = {"model": MODEL, "choices": [choice]}
    await client.start(kind)
    await client.body(json.dumps(data).encode() if kind == b"application/json" else event(choices=[choice]))
    (found,) = json.loads(client.text.removeprefix(b"data: "))["choices"]
    assert found.get("stop_reason", "absent") == shown
    assert found["finish_reason"] == "stop"
