"""The example's client against a small server: its requests, and how it reports the answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tunewright_dev.demo.observed.answers import Answer
from tunewright_dev.paths import find_paths

sys.path.insert(0, str(find_paths().clone / "examples" / "support-triage"))

import client
import traffic

REQUEST = traffic.Request("customer-1", ({"role": "user", "content": "help"},), gift_card=True)
GOOD = json.dumps(
    {
        "model": "support",
        "choices": [{"message": {"content": '{"queue":"billing"}'}}],
        "usage": {"completion_tokens": 7},
    }
)


keys: list[str | None] = []


@contextmanager
def serving(status, body, revision="support--aaa"):
    """Serve the same answer to every request and record the requests."""
    sent = []
    keys.clear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers["content-length"]))
            sent.append((self.path, self.headers["x-session-id"], json.loads(text)))
            keys.append(self.headers["authorization"])
            self.send_response(status)
            self.send_header("x-tunewright-revision", revision)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url):
    return client.Client(url, "support", iter(())).ask(REQUEST)[1]


@pytest.mark.parametrize(("key", "header"), [("", None), ("a-key", "Bearer a-key")])
def test_the_client_sends_its_key(key, header):
    with serving(200, GOOD) as (url, _):
        client.Client(url, "support", iter(()), key=key).ask(REQUEST)
    assert keys == [header]


def test_a_request_has_the_alias_and_the_session_as_sticky_key():
    with serving(200, GOOD) as (url, sent):
        result = ask(url)
    assert result == {
        "status": 200,
        "revision": "support--aaa",
        "model": "support",
        "answer": '{"queue":"billing"}',
        "tokens": 7,
    }
    ((path, session, body),) = sent
    assert (path, session) == ("/v1/chat/completions", "customer-1")
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("support", 0, client.MAX_TOKENS)
    assert body["messages"] == [{"role": "user", "content": "help"}]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_refusal_is_reported_with_its_text(status):
    with serving(status, "adapter_unavailable") as (url, _):
        assert ask(url) == {"status": status, "error": "adapter_unavailable"}


@pytest.mark.parametrize("body", ["", "no JSON", "{}", '{"model": "support", "choices": []}', "[]"])
def test_a_success_without_an_answer_counts_as_failed(body):
    with serving(200, body) as (url, _):
        assert ask(url)["status"] == 0


def test_a_missing_server_counts_as_failed():
    with serving(200, GOOD) as (url, _):
        pass
    result = ask(url)
    assert result["status"] == 0
    assert result["error"].startswith("ConnectionRefusedError")


def test_the_demo_can_read_the_output_until_the_client_is_stopped(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(client, "CUSTOMERS_FILE", tmp_path / "customers")

    def sessions():
        yield [REQUEST, REQUEST]
        client.set_pace(client.Pace(-1, 0.001))
        yield [REQUEST]

    with serving(200, GOOD) as (url, _):
        client.set_pace(client.Pace(1, 0.001))
        one = client.Client(url, "support", sessions())
        one.serve(0)
    answers = [Answer.from_json(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer.number for answer in answers] == [1, 2, 3]
    assert {answer.kind for answer in answers} == {"gift-card"}
    assert all(answer.start <= answer.end and not answer.failed for answer in answers)
    assert {answer.tokens for answer in answers} == {7}


def test_a_pausing_customer_notices_a_change_of_pace(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(client, "CUSTOMERS_FILE", tmp_path / "customers")
    monkeypatch.setattr(client, "CHECK_SECONDS", 0.001)
    one = client.Client("http://127.0.0.1", "support", iter([[REQUEST, REQUEST], [REQUEST]]))
    asked, timers = [], []

    def ask(request):
        asked.append(request)
        # The second request comes at once although the customer began a pause of an hour. After the end, none comes.
        if len(asked) == 1:
            client.set_pace(client.Pace(1, 3600))
            timers.append(threading.Timer(0.01, client.set_pace, [client.Pace(1, 0)]))
            timers[0].start()
        else:
            client.set_pace(client.Pace(-1, 0))
        return 0.0, {"status": 200}

    monkeypatch.setattr(one, "ask", ask)
    client.set_pace(client.Pace(1, 0))
    one.serve(0)
    timers[0].join()
    assert len(asked) == 2


def test_a_pace_is_limited_and_read_as_it_was_written(monkeypatch, tmp_path):
    monkeypatch.setattr(client, "CUSTOMERS_FILE", tmp_path / "customers")
    client.main(["--set-customers", "24", "--think", "6"])
    assert client.read_pace() == client.Pace(24, 6)
    client.main(["--set-customers", "1000"])
    assert client.read_pace() == client.Pace(client.MOST_CUSTOMERS, client.THINK_SECONDS)


def test_a_closed_pipe_ends_the_client_without_an_error(tmp_path):
    """`client.py … | head -n 1` closes its pipe so."""
    code = (
        f"import pathlib, client; client.CUSTOMERS_FILE = pathlib.Path({str(tmp_path / 'customers')!r}); client.main()"
    )
    with (
        serving(200, GOOD) as (url, _),
        subprocess.Popen(
            [sys.executable, "-c", code, url, "support"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process,
    ):
        assert json.loads(process.stdout.readline())["status"] == 200
        process.stdout.close()
        try:
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
        assert process.stderr.read() == b""
