"""Bodies have a deadline, and a limited number of them arrives at the same time."""

import asyncio

import pytest

from support.virtual_time import in_virtual_time
from tunewright_server.http.asgi import ClientDisconnectedError
from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.uploads import Uploads


def arriving(*parts):
    """Return a ``receive`` for parts of (seconds to wait, bytes, whether more follow)."""
    waiting = list(parts)

    async def receive():
        if not waiting:
            await asyncio.Event().wait()
        seconds, body, more = waiting.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": body, "more_body": more}

    return receive


def start(uploads, address, *parts):
    return asyncio.create_task(uploads.read({"client": (address, 1)}, arriving(*parts), 100))


@in_virtual_time
async def test_a_body_in_time():
    uploads = Uploads(seconds=10)
    assert await start(uploads, "a", (9, b"x", True), (0.5, b"y", False)) == b"xy"
    assert await start(uploads, "a", (0, b"x" * 101, False)) is None


@pytest.mark.parametrize("parts", [(), [(0, b"x", True)], [(6, b"x", True), (6, b"y", False)]])
def test_a_body_that_stalls(parts):
    @in_virtual_time
    async def run():
        with pytest.raises(RefusalError) as caught:
            await start(Uploads(seconds=10), "a", *parts)
        assert asyncio.get_running_loop().time() == 10
        assert (caught.value.status, caught.value.code) == (408, RefusalCode.REQUEST_TIMEOUT)
        assert (b"connection", b"close") in caught.value.headers()

    run()


@in_virtual_time
async def test_one_too_many_ends_the_oldest_of_the_address_that_has_most():
    uploads = Uploads(seconds=100, most=3)
    first = start(uploads, "b", (5, b"x", False))
    stalled = [start(uploads, "a") for _ in range(2)]
    await asyncio.sleep(1)
    assert await start(uploads, "c", (1, b"y", False)) == b"y"
    with pytest.raises(RefusalError):
        await stalled[0]
    assert not stalled[1].done()
    assert await first == b"x"
    stalled[1].cancel()


@in_virtual_time
async def test_finished_ones_do_not_count():
    uploads = Uploads(seconds=100, most=2)
    one = start(uploads, "a", (50, b"x", False))
    for _ in range(5):
        assert await start(uploads, "a", (1, b"y", False)) == b"y"

    async def leave():
        return {"type": "http.disconnect"}

    for _ in range(5):
        with pytest.raises(ClientDisconnectedError):
            await uploads.read({}, leave, 100)
    assert await one == b"x"
