"""Measure what the middleware costs a request: call the same app directly and through it, alternately, in one run.

    .venv/bin/python bench/middleware_overhead.py [--requests 2000]

The app stands for vLLM and answers immediately, so the difference is the middleware's work: parse, authorize, route,
encode, rewrite, count. Both are called in process: with sockets, a difference of microseconds would not be visible.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tunewright_contracts.serving_plan import StickyKey
from tunewright_server.http import asgi

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import support.worlds.server_world as world

PATH = "/v1/chat/completions"
SIZES = {"200 B": 100, "4 KB": 4_000, "100 KB": 100_000, "500 KB": 500_000}
EVENTS = 100


async def answer(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Read the body and answer with a complete completion, as fast as possible."""
    await receive()
    body = json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "model": "support--00000000000000000000",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"queue": "billing"}'}}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 9},
        }
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def stream(_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Answer with a hundred events."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    event = {
        "id": "1",
        "model": "support--00000000000000000000",
        "choices": [{"index": 0, "delta": {"content": " word"}}],
    }
    line = f"data: {json.dumps(event)}\n\n".encode()
    for _ in range(EVENTS):
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


async def ask(app: asgi.App, body: bytes) -> float:
    """Send one request; return the seconds until the app returned."""
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> asgi.Message:
        return sent.pop()

    async def send(_message: asgi.Message) -> None:
        return

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"x-session-id", b"session-1"))
    headers.append((b"authorization", f"Bearer {world.CLIENT_KEY}".encode()))
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers}
    started = time.perf_counter()
    await app(scope, receive, send)
    return time.perf_counter() - started


async def compare(pod: world.Pod, app: asgi.App, body: bytes, requests: int) -> tuple[list[float], list[float]]:
    """Return the seconds of direct requests and of requests through the middleware, sent alternately."""
    pod.middleware._app = app  # noqa: SLF001 - the bench replaces vLLM
    direct, through = [], []
    for _ in range(requests):
        direct.append(await ask(app, body))
        through.append(await ask(pod.middleware, body))
    return direct, through


async def main(requests: int) -> None:
    """Print a table: microseconds at the median and at the 99th percentile."""
    with tempfile.TemporaryDirectory() as scratch:
        pod = world.Pod(Path(scratch) / "pod", max_request_bytes=1 << 20)
        first, second = (pod.source.publish(Path(scratch) / str(seed), seed) for seed in (1, 2))
        async with pod.running():
            sticky = (StickyKey(header="x-session-id"),)
            route = world.make_route((first, 90), (second, 10), sticky_by=sticky, count_by_key_bucket=True)
            await pod.push(world.make_plan(1, [first, second], [route]))
            await pod.settled()
            print(f"{'request':<24}{'direct p50':>12}{'through p50':>12}{'added p50':>11}{'added p99':>11}   (µs)")
            cases = [(f"{name} body", answer, size) for name, size in SIZES.items()]
            cases.append((f"stream of {EVENTS} events", stream, 100))
            for name, app, size in cases:
                body = json.dumps(world.chat("x" * size, temperature=0)).encode()
                count = max(50, requests // (1 + size // 20_000))
                direct, through = await compare(pod, app, body, count)
                print_row(name, direct, through)


def print_row(name: str, direct: list[float], through: list[float]) -> None:
    """Print one comparison."""
    middle = [statistics.median(values) * 1e6 for values in (direct, through)]
    tail = [statistics.quantiles(values, n=100)[98] * 1e6 for values in (direct, through)]
    print(f"{name:<24}{middle[0]:>12.1f}{middle[1]:>12.1f}{middle[1] - middle[0]:>11.1f}{tail[1] - tail[0]:>11.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    asyncio.run(main(parser.parse_args().requests))
