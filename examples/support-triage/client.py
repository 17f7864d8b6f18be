"""Ask the triage service what customers ask, and print one JSON line for each answer.

A customer writes one ticket after the other; how many customers there are at a time can change while it runs. Needs
nothing but Python; it runs as a pod in the demo::

    python3 examples/support-triage/client.py http://smollm2.serving.svc:8000 support [--customers 2] [--seed N]
    python3 examples/support-triage/client.py --set-customers 4      # tell the one that runs here; -1 ends it

Each line has ``start`` and ``end`` (seconds since the epoch), ``session``, ``kind`` (ticket or gift-card), ``status``
(0: no answer), ``revision`` (the header x-tunewright-revision), ``model`` and ``answer``. However it is ended, answers
that are under way still come in.
"""

from __future__ import annotations

import argparse
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

CUSTOMERS_FILE = Path("/tmp/customers")  # noqa: S108 - the pod's own
MOST_CUSTOMERS = 8
MAX_TOKENS = 32
TIMEOUT_SECONDS = 120
THINK_SECONDS = 0.5


class Client:
    """Asks one server for one alias; its methods may be called from several threads."""

    def __init__(self, url: str, model: str, sessions: Iterator[list[traffic.Request]]) -> None:
        self._address = urlsplit(url)
        self._model = model
        self._sessions = sessions
        self._lock = threading.Lock()
        self._number = 0
        self.stopped = threading.Event()

    def serve(self, place: int) -> None:
        """Be customer after customer while at least ``place`` + 1 of them are wanted."""
        while not self.stopped.is_set():
            wanted = wanted_customers()
            if wanted < 0:
                self.stopped.set()
            if place >= wanted:
                self.stopped.wait(THINK_SECONDS)
                continue
            with self._lock:
                session = next(self._sessions)
            for request in session:
                if self.stopped.is_set():
                    return
                self._print(request, *self.ask(request))
                self.stopped.wait(THINK_SECONDS)

    def ask(self, request: traffic.Request) -> tuple[float, dict[str, object]]:
        """Send one ticket and return when that was, and what came back."""
        # A connection for each ticket, as customers have: a Service picks a replica by connection.
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=TIMEOUT_SECONDS)
        body = {"model": self._model, "messages": request.messages, "temperature": 0, "max_tokens": MAX_TOKENS}
        headers = {"content-type": "application/json", "x-session-id": request.session}
        start = time.time()
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            if not 200 <= response.status < 300:
                return start, {"status": response.status, "error": text[:500]}
            answer = json.loads(text)
            told = {"model": answer["model"], "answer": answer["choices"][0]["message"]["content"]}
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            return start, {"status": 0, "error": f"{type(error).__name__}: {error}"}
        finally:
            connection.close()
        return start, {"status": response.status, "revision": response.headers.get("x-tunewright-revision", "")} | told

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
            except BrokenPipeError:  # nobody reads any more, as after `| head`
                self.stopped.set()
                # Python writes once more when it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def wanted_customers() -> int:
    """Return how many customers there should be now."""
    return min(MOST_CUSTOMERS, int(CUSTOMERS_FILE.read_text()))


def set_customers(count: int) -> None:
    """Say how many customers there should be from now on."""
    scratch = CUSTOMERS_FILE.with_suffix(".new")
    scratch.write_text(str(count))
    scratch.rename(CUSTOMERS_FILE)


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="the server's address, for example http://smollm2.serving.svc:8000")
    parser.add_argument("model", nargs="?", help="what clients call the model, for example support")
    parser.add_argument("--customers", type=int, default=2, help=f"how many at a time, at most {MOST_CUSTOMERS}")
    parser.add_argument("--set-customers", type=int, help="tell the client that runs here; -1 ends it")
    parser.add_argument("--seed", type=int, default=generate.SEED)
    arguments = parser.parse_args(argv)
    if arguments.set_customers is not None:
        set_customers(arguments.set_customers)
        return
    if not arguments.url or not arguments.model:
        parser.error("a url and a model are needed")
    set_customers(arguments.customers)
    client = Client(arguments.url, arguments.model, traffic.sessions(arguments.seed))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: client.stopped.set())
    threads = [threading.Thread(target=client.serve, args=(place,)) for place in range(MOST_CUSTOMERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
