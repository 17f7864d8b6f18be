"""Connections without a request are closed; those with one stay."""

import asyncio
from types import SimpleNamespace

from support.virtual_time import in_virtual_time
from tunewright_server.http import connections
from tunewright_server.http.connections import IdleConnections


class Connection:
    """A connection of uvicorn."""

    def __init__(self, opened, complete=None):
        self._opened = opened
        self.cycle = None if complete is None else SimpleNamespace(response_complete=complete)
        self.transport = SimpleNamespace(close=self.close)
        opened.add(self)

    def close(self):
        self._opened.discard(self)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_idle_connection_is_closed_and_one_with_a_request_is_not():
    opened, clock = set(), Clock()
    silent, busy, done = Connection(opened), Connection(opened, complete=False), Connection(opened, complete=True)
    idle = IdleConnections(opened, seconds=10, clock=clock)
    assert idle.close_some() == 0
    clock.now = 9
    assert idle.close_some() == 0
    clock.now = 10
    assert idle.close_some() == 2
    assert opened == {busy}
    assert {silent, done}.isdisjoint(opened)


def test_a_connection_that_had_another_request_meanwhile_is_not_idle():
    opened, clock = set(), Clock()
    connection = Connection(opened, complete=True)
    idle = IdleConnections(opened, seconds=10, clock=clock)
    for clock.now in range(0, 60, 6):
        connection.cycle = SimpleNamespace(response_complete=True)
        assert idle.close_some() == 0


def test_a_request_in_progress_ends_the_idle_time():
    opened, clock = set(), Clock()
    connection = Connection(opened)
    idle = IdleConnections(opened, seconds=10, clock=clock)
    idle.close_some()
    connection.cycle = SimpleNamespace(response_complete=False)
    clock.now = 20
    assert idle.close_some() == 0


def test_too_many_connections():
    opened, clock = set(), Clock()
    idle = IdleConnections(opened, seconds=10, most=3, clock=clock)
    old = [Connection(opened) for _ in range(2)]
    idle.close_some()
    clock.now = 1
    busy = [Connection(opened, complete=False) for _ in range(2)]
    new = Connection(opened)
    assert idle.close_some() == 2
    assert opened == {*busy, new}
    assert opened.isdisjoint(old)


def test_websockets_are_left_to_the_middleware():
    opened = {SimpleNamespace(transport=None).__class__}
    assert IdleConnections(opened, seconds=0).close_some() == 0


@in_virtual_time
async def test_the_connections_of_vllms_server_are_swept():
    opened = set()
    app = SimpleNamespace(
        state=SimpleNamespace(server=SimpleNamespace(server_state=SimpleNamespace(connections=opened)))
    )
    sweeping = asyncio.create_task(connections.close_idle(app))
    Connection(opened)
    await asyncio.sleep(0.1)
    assert connections.find_connections(app) is opened
    assert opened
    sweeping.cancel()


async def test_an_app_without_a_server_is_left_alone():
    assert connections.find_connections(None) is None
    await connections.close_idle(SimpleNamespace(state=SimpleNamespace()))
