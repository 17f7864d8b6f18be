"""The ASGI messages that the middleware reads and writes."""

import pytest

from tunewright_server.http import asgi


def test_the_first_header_of_a_name_wins():
    headers = [(b"a", b"1"), (b"x-session-id", b"\xe9"), (b"x-session-id", b"2")]
    assert asgi.get_header(headers, "x-session-id") == "é"
    assert asgi.get_header(headers, "missing") is None
    assert asgi.get_header(headers, "é☃") is None


async def test_a_json_response():
    sent = []

    async def send(message):
        sent.append(message)

    await asgi.send_json(send, 503, b'{"a":1}', [(b"retry-after", b"5")])
    assert sent == [
        {
            "type": "http.response.start",
            "status": 503,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"7"), (b"retry-after", b"5")],
        },
        {"type": "http.response.body", "body": b'{"a":1}'},
    ]


def receiver(*messages):
    left = list(messages)

    async def receive():
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ([part(b"abc", more=False)], b"abc"),
        ([part(b"ab", more=True), part(b"", more=True), part(b"c", more=False)], b"abc"),
        ([{"type": "http.request"}], b""),
        ([part(b"ab", more=True), part(b"cd", more=False)], None),
        ([part(b"abcd", more=False)], None),
    ],
)
async def test_a_body_of_at_most_three_bytes(messages, body):
    assert await asgi.read_body(receiver(*messages), 3) == body


async def test_a_body_over_the_limit_is_not_read_to_its_end():
    assert await asgi.read_body(receiver(part(b"abcd", more=True)), 3) is None


async def test_a_client_that_disconnects():
    with pytest.raises(asgi.ClientDisconnectedError):
        await asgi.read_body(receiver(part(b"a", more=True), {"type": "http.disconnect"}), 3)


async def test_the_answer_to_head_has_no_body():
    sent = []

    async def send(message):
        sent.append(message)

    await asgi.send_json(asgi.drop_body(send), 200, b"{}")
    start, body = sent
    assert dict(start["headers"])[b"content-length"] == b"2"
    assert body == {"type": "http.response.body", "body": b""}
