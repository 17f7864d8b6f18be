"""Serve the progress of a Job's pod over HTTP: the operator polls it, and pods never call the operator.

Trainer and evaluator pods do it in the same way.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tunewright_contracts.progress import PROGRESS_PATH, Phase, Progress
from tunewright_contracts.times import format_time


class ProgressBoard:
    """The latest `Progress`: the program writes it, the server's threads read it."""

    def __init__(self, attempt: int = 1) -> None:
        self._lock = threading.Lock()
        self._progress = Progress(phase=Phase.STARTING, attempt=attempt, updated_at=_format_now())

    def update(self, **changes: Any) -> None:
        """Change the named fields of `Progress`, and set its time."""
        with self._lock:
            self._progress = self._progress.updated(**changes, updated_at=_format_now())

    def snapshot(self) -> Progress:
        """Return the current progress."""
        with self._lock:
            return self._progress


class ProgressServer:
    """Serve ``GET /progress`` and ``GET /healthz`` in a separate thread while the block runs."""

    def __init__(self, board: ProgressBoard, port: int) -> None:
        self._server = ThreadingHTTPServer(("", port), _build_handler(board))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="progress", daemon=True)

    @property
    def port(self) -> int:
        """The port in use; the system chooses it if the requested port is 0."""
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _format_now() -> str:
    return format_time(dt.datetime.now(dt.UTC))


def _build_handler(board: ProgressBoard) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path == PROGRESS_PATH:
                self._answer(200, board.snapshot().to_json())
            elif self.path == "/healthz":
                self._answer(200, json.dumps({"status": "ok"}))
            else:
                self._answer(404, json.dumps({"error": f"unknown path; use {PROGRESS_PATH}"}))

        def _answer(self, status: int, body: str) -> None:
            data = body.encode()
            # The client may have closed the connection. It polls again, so the log needs no line about it.
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
            """Log nothing: one line per poll would flood the log."""

    return Handler
