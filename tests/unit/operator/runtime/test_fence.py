"""The fence: without leadership, the loops write nothing; with it, their requests are unchanged."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tunewright_operator.api.kinds import JOB
from tunewright_operator.cluster import Cluster, Propagation
from tunewright_operator.manifests.events import EventType
from tunewright_operator.runtime.fence import FencedCluster, FencedServerPods
from tunewright_operator.runtime.term import LeadershipLostError, Term
from tunewright_operator.serving import PodAddress, ServerPods

Call = tuple[str, tuple[Any, ...], dict[str, Any]]

BODY = {"metadata": {"name": "j"}}
READS: list[Call] = [
    ("get", (JOB, "ns", "j"), {}),
    ("list", (JOB, "ns", {"a": "b"}, {"c": "d"}), {}),
    ("read_metadata", (JOB, "ns", "j"), {}),
]
WRITES: list[Call] = [
    ("create", (BODY,), {}),
    ("apply", (BODY, "manager"), {}),
    ("replace", (BODY,), {}),
    ("replace_status", (BODY, {"phase": "x"}), {}),
    (
        "patch_metadata",
        (JOB, "ns", "j"),
        {"annotations": {"a": None}, "labels": {"b": "c"}, "finalizers": ["d"], "resource_version": "1"},
    ),
    ("delete", (JOB, "ns", "j"), {"uid": "u", "propagation": Propagation.FOREGROUND}),
]
PAGES: Call = ("list_metadata", (JOB, {"a": "b"}), {})
EVENT: Call = ("emit_event", (BODY, EventType.WARNING, "Reason", "message"), {})
ADDRESS = PodAddress("ns", "p", "u", "10.0.0.1")
FETCH: Call = ("fetch_state", (ADDRESS, "token", None), {})
PUSHES: list[Call] = [("push_plan", (ADDRESS, object()), {}), ("push_access", (ADDRESS, object()), {})]


class Recorder:
    """Stands for both ports, and records the calls that reach it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __getattr__(self, verb: str) -> Any:
        async def record(*args: Any, **kwargs: Any) -> str:
            self.calls.append((verb, args, kwargs))
            return "the answer"

        return record


def fence(term: Term, verb: str) -> tuple[Recorder, Any]:
    recorder: Any = Recorder()
    port: Any = FencedServerPods if verb in {"fetch_state", "push_plan", "push_access"} else FencedCluster
    return recorder, getattr(port(recorder, term), verb)


def test_every_verb_of_the_ports_is_known_here():
    for port, calls in ((Cluster, [*READS, PAGES, *WRITES, EVENT]), (ServerPods, [FETCH, *PUSHES])):
        verbs = {name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")}
        assert verbs == {verb for verb, _, _ in calls}


@pytest.mark.parametrize("call", [*READS, *WRITES, FETCH, *PUSHES], ids=lambda call: call[0])
async def test_a_leader_sends_every_request_unchanged(call: Call):
    verb, args, kwargs = call
    term = Term(lambda: 1000.0)
    term.extend(1010.0)
    recorder, send = fence(term, verb)
    answer = await send(*args, **kwargs)
    assert recorder.calls == [call]
    assert answer == ("the answer" if not verb.startswith("push_") else None)


@pytest.mark.parametrize("call", [*WRITES, *PUSHES], ids=lambda call: call[0])
async def test_without_leadership_nothing_is_written(call: Call):
    verb, args, kwargs = call
    recorder, send = fence(Term(lambda: 1000.0), verb)
    with pytest.raises(LeadershipLostError):
        await send(*args, **kwargs)
    assert recorder.calls == []


async def test_an_event_is_written_only_while_this_replica_leads_whenever_that_is():
    verb, args, kwargs = EVENT
    now = [1000.0]
    term = Term(lambda: now[0])
    recorder, send = fence(term, verb)
    await send(*args, **kwargs)
    ((recorded, passed, options),) = recorder.calls
    assert (recorded, passed) == (verb, args)
    seen = [options["may_write"]()]
    term.extend(1010.0)
    seen.append(options["may_write"]())
    now[0] = 1010.0
    seen.append(options["may_write"]())
    assert seen == [False, True, False]
    term.end()
    await send(*args, may_write=lambda: False)
    assert not recorder.calls[1][2]["may_write"]()


@pytest.mark.parametrize("call", [*READS, FETCH], ids=lambda call: call[0])
async def test_reads_need_no_leadership(call: Call):
    verb, args, kwargs = call
    recorder, send = fence(Term(lambda: 1000.0), verb)
    assert await send(*args, **kwargs) == "the answer"
    assert recorder.calls == [call]


async def test_pages_of_metadata_need_no_leadership():
    pages = [[BODY], []]

    class Pages:
        async def list_metadata(self, *args: Any) -> AsyncIterator[Any]:
            assert args == PAGES[1]
            for page in pages:
                yield page

    cluster: Any = Pages()
    fenced = FencedCluster(cluster, Term(lambda: 1000.0))
    assert [page async for page in fenced.list_metadata(*PAGES[1])] == pages
