"""The leader thread has a connection of its own: requests of the main loop that hang never delay a renewal."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from support.clusters.recording_api import Tokens
from tunewright_operator.api.kinds import JOB
from tunewright_operator.kubernetes_api.client import APIClient
from tunewright_operator.kubernetes_api.event_recorder import EventRecorder
from tunewright_operator.kubernetes_api.kubernetes_cluster import KubernetesCluster
from tunewright_operator.runtime import leadership
from tunewright_operator.runtime.leader_thread import LeaderThread

POOL = 4


class LeaseServer(http.server.ThreadingHTTPServer):
    """An API server with one Lease, which never answers any other request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), LeaseHandler)
        self.lease: dict | None = None
        self.version = 0
        self.ports: dict[str, set[int]] = {"lease": set(), "other": set()}
        self.over = threading.Event()


class LeaseHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LeaseServer

    def do_GET(self) -> None:
        if "/leases/" not in self.path:
            self.server.ports["other"].add(self.client_address[1])
            self.server.over.wait()
            self.close_connection = True
            return
        self.server.ports["lease"].add(self.client_address[1])
        if self.server.lease is None:
            self._answer(404, {"reason": "NotFound", "message": "no such Lease"})
        else:
            self._answer(200, self.server.lease)

    def do_POST(self) -> None:
        self.server.version += 1
        lease = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        lease["metadata"]["resourceVersion"] = str(self.server.version)
        self.server.lease = lease
        self._answer(200, lease)

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_args: object) -> None:
        pass

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[LeaseServer]:
    with LeaseServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@contextlib.asynccontextmanager
async def connect(server: LeaseServer) -> AsyncIterator[KubernetesCluster]:
    client = APIClient(Tokens(f"http://127.0.0.1:{server.server_port}"), connections=POOL)
    cluster = KubernetesCluster(client, EventRecorder(client))
    try:
        yield cluster
    finally:
        await cluster.close()


async def test_the_lease_is_renewed_while_all_connections_of_the_main_loop_are_in_use(
    server: LeaseServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 0.05)
    errors: list[BaseException] = []
    async with connect(server) as cluster:
        lists = [asyncio.create_task(cluster.list(JOB)) for _ in range(POOL + 1)]
        async with asyncio.timeout(60):
            while len(server.ports["other"]) < POOL:  # noqa: ASYNC110 - another thread adds to it
                await asyncio.sleep(0.01)
            async with LeaderThread(
                lambda: connect(server), namespace="sys", name="lease", identity="a", end_process=errors.append
            ) as leader:
                await leader.wait_until_leader()
                acquired = server.version
                while server.version < acquired + 3:  # noqa: ASYNC110 - another thread counts
                    await asyncio.sleep(0.01)
                connections = set(server.ports["lease"])
        assert not any(task.done() for task in lists)
        for task in lists:
            task.cancel()
        await asyncio.gather(*lists, return_exceptions=True)
    assert errors == []
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == ""
    assert not server.ports["lease"] & server.ports["other"]
    assert len(connections) == 1, "one connection serves all renewals"
