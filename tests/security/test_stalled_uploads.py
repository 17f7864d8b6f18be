"""Clients begin many requests and never finish them."""

import asyncio

import support.worlds.server_world as world
from support.virtual_time import in_virtual_time
from tunewright_server.access.callers import Callers
from tunewright_server.http.middleware import TunewrightMiddleware
from tunewright_server.http.uploads import Uploads

CHAT, PLAN = "/v1/chat/completions", "/tunewright/v1/plan"
STALLED = 200


def prepare(tmp_path):
    """Return a middleware without the tasks of a running pod."""
    pod = world.Pod(tmp_path / "pod")
    middleware = TunewrightMiddleware(pod.vllm.app, build_runtime=pod.build)
    middleware._runtime = pod.build(None)
    middleware._runtime.callers = Callers(world.make_access(1, world.make_client(world.CLIENT_KEY)))
    return middleware


async def stall(middleware, address, method="POST", path=CHAT, first=b'{"model": "support", '):
    """Send the first bytes of a request and nothing more; return the status of the answer and when it came."""
    parts, answers = [{"type": "http.request", "body": first, "more_body": True}], []

    async def receive():
        if not parts:
            await asyncio.Event().wait()
        return parts.pop()

    async def send(message):
        answers.append(message)

    key = f"Bearer {world.CLIENT_KEY}".encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100000"), (b"authorization", key)]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": (address, 1)}
    await middleware(scope, receive, send)
    assert (b"connection", b"close") in answers[0]["headers"]
    return answers[0]["status"], asyncio.get_running_loop().time()


def test_two_hundred_stalled_uploads_end_within_15_seconds(tmp_path):
    @in_virtual_time
    async def run():
        middleware = prepare(tmp_path)
        found = await asyncio.gather(*(stall(middleware, "10.0.0.1") for _ in range(STALLED)))
        assert {status for status, _ in found} == {408}
        assert max(when for _, when in found) <= 15
        assert not middleware._uploads._unfinished
        assert middleware._runtime.refusals == {"request_timeout": STALLED}

    run()


def test_stalled_plans_end_too(tmp_path):
    @in_virtual_time
    async def run():
        middleware = prepare(tmp_path)
        found = await asyncio.gather(*(stall(middleware, "10.0.0.1", "PUT", PLAN) for _ in range(STALLED)))
        assert {status for status, _ in found} == {408}
        assert max(when for _, when in found) <= 15

    run()


def test_stalled_uploads_of_one_address_displace_no_upload_of_another(tmp_path):
    @in_virtual_time
    async def run():
        middleware = prepare(tmp_path)
        attack = [asyncio.create_task(stall(middleware, "10.0.0.1")) for _ in range(STALLED)]
        await asyncio.sleep(1)

        async def receive():
            await asyncio.sleep(2)
            return {"type": "http.request", "body": b"body", "more_body": False}

        scope = {"client": ("10.0.0.2", 1)}
        more = [asyncio.create_task(stall(middleware, "10.0.0.1")) for _ in range(STALLED)]
        assert await middleware._uploads.read(scope, receive, 100) == b"body"
        await asyncio.gather(*attack, *more)

    run()


@in_virtual_time
async def test_few_unfinished_uploads_are_kept_in_memory():
    uploads = Uploads(seconds=60)
    reads = [asyncio.create_task(uploads.read({}, asyncio.Event().wait, 100)) for _ in range(1000)]
    await asyncio.sleep(1)
    assert sum(not read.done() for read in reads) == 128
    await asyncio.gather(*reads, return_exceptions=True)
    assert asyncio.get_running_loop().time() == 60
