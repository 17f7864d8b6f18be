"""Send customers' tickets to the triage service, and print one JSON line for each answer.

A customer sends one ticket after the other. The number of customers at a time, and the pause between two tickets of a
customer, can change while the client runs. It needs only Python; the demo runs it as a pod::

    python3 examples/support-triage/client.py http://smollm2.serving.svc:8000 support [--customers 2] [--seed N]
    python3 examples/support-triage/client.py --set-customers 4      # change the client that runs here; -1 stops it

Its key is in the environment variable OPENAI_API_KEY, as OpenAI's clients expect it.
Each line has ``start`` and ``end`` (seconds since the epoch), ``session``, ``kind`` (ticket or gift-card), ``status``
(0: no answer), ``revision`` (the header x-tunewright-revision), ``model``, ``answer`` and its number of ``tokens``.
When it is stopped, it waits for the answers to running requests.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import generate
import traffic

CUSTOMERS_FILE = Path("/tmp/customers")  # noqa: S108 - only this pod uses it
MOST_CUSTOMERS = 32
MAX_TOKENS = 32
TIMEOUT_SECONDS = 900
"""A slow machine needs long for each answer if it answers many customers at a time; a late answer is not a failure."""
THINK_SECONDS = 0.5
CHECK_SECONDS = 0.5
"""How often a waiting customer checks whether the pace has changed."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """The number of customers at a time (-1 stops the client), and the pause between two tickets of a customer."""

    customers: int
    think_seconds: float


class Client:
    """Send tickets to one alias of a server; the methods can be called from several threads."""

    def __init__(
        self,
        url: str,
        model: str,
        sessions: Iterator[list[traffic.Request]],
        max_tokens: int = MAX_TOKENS,
        key: str = "",
    ) -> None:
        self._address = urlsplit(url)
        self._model = model
        self._sessions = sessions
        self._max_tokens = max_tokens
        self._key = key
        self._lock = threading.Lock()
        self._number = 0
        self.stopped = threading.Event()

    def serve(self, place: int) -> None:
        """Act as one customer after the other, as long as the pace has at least ``place`` + 1 of them."""
        while not self.stopped.is_set():
            if place >= self._read_pace().customers:
                self.stopped.wait(CHECK_SECONDS)
                continue
            with self._lock:
                session = next(self._sessions)
            for request in session:
                if self.stopped.is_set():
                    return
                self._print(request, *self.ask(request))
                self._think()

    def ask(self, request: traffic.Request) -> tuple[float, dict[str, object]]:
        """Send one ticket; return the time at which it was sent, and the outcome."""
        # A connection for each ticket, as for different customers: a Service chooses a replica by connection.
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=TIMEOUT_SECONDS)
        body = {"model": self._model, "messages": request.messages, "temperature": 0, "max_tokens": self._max_tokens}
        headers = {"content-type": "application/json", "x-session-id": request.session}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        start = time.time()
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            if not 200 <= response.status < 300:
                return start, {"status": response.status, "error": text[:500]}
            answer = json.loads(text)
            tokens = answer["usage"]["completion_tokens"]
            told = {"model": answer["model"], "answer": answer["choices"][0]["message"]["content"], "tokens": tokens}
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            return start, {"status": 0, "error": f"{type(error).__name__}: {error}"}
        finally:
            connection.close()
        return start, {"status": response.status, "revision": response.headers.get("x-tunewright-revision", "")} | told

    def _read_pace(self) -> Pace:
        """Return the current pace, and stop all customers if it is the end."""
        pace = read_pace()
        if pace.customers < 0:
            self.stopped.set()
        return pace

    def _think(self) -> None:
        """Wait for the pause between two tickets; a change of the pace takes effect immediately."""
        began = time.monotonic()
        while (left := began + self._read_pace().think_seconds - time.monotonic()) > 0:
            if self.stopped.wait(min(left, CHECK_SECONDS)):
                return

    def _print(self, request: traffic.Request, start: float, outcome: dict[str, object]) -> None:
        kind = "gift-card" if request.gift_card else "ticket"
        with self._lock:
            self._number += 1
            told = {
                "number": self._number,
                "start": start,
                "end": time.time(),
                "session": request.session,
                "kind": kind,
            }
            try:
                print(json.dumps(told | outcome, ensure_ascii=False), flush=True)
            except BrokenPipeError:  # the reader is gone, as after `| head`
                self.stopped.set()
                # Python writes to it again at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_pace() -> Pace:
    """Return the current pace."""
    customers, think_seconds = CUSTOMERS_FILE.read_text().split()
    return Pace(min(MOST_CUSTOMERS, int(customers)), float(think_seconds))


def set_pace(pace: Pace) -> None:
    """Change the pace."""
    scratch = CUSTOMERS_FILE.with_suffix(".new")
    scratch.write_text(f"{pace.customers} {pace.think_seconds}")
    scratch.rename(CUSTOMERS_FILE)


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="the server's address, for example http://smollm2.serving.svc:8000")
    parser.add_argument("model", nargs="?", help="the model's name for clients, for example support")
    parser.add_argument("--customers", type=int, default=2, help=f"how many at a time, at most {MOST_CUSTOMERS}")
    parser.add_argument("--think", type=float, default=THINK_SECONDS, help="seconds between two tickets of a customer")
    parser.add_argument("--max-tokens", type=int, default=MAX_TOKENS, help="the longest answer")
    parser.add_argument("--set-customers", type=int, help="change the client that runs here; -1 stops it")
    parser.add_argument("--seed", type=int, default=generate.SEED)
    arguments = parser.parse_args(argv)
    if arguments.set_customers is not None:
        set_pace(Pace(arguments.set_customers, arguments.think))
        return
    if not arguments.url or not arguments.model:
        parser.error("the arguments url and model are required")
    set_pace(Pace(arguments.customers, arguments.think))
    client = Client(
        arguments.url,
        arguments.model,
        traffic.sessions(arguments.seed),
        arguments.max_tokens,
        os.environ.get("OPENAI_API_KEY", ""),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: client.stopped.set())
    threads = [threading.Thread(target=client.serve, args=(place,)) for place in range(MOST_CUSTOMERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
