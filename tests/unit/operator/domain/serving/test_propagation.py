"""Which pods apply the newest entry of a client, also while others change, and when pods do not answer."""

import pytest

from tunewright_contracts.clients.access_list import AccessList, ClientEntry, KeyEntry
from tunewright_contracts.serving_plan import AccessState, PlanStatus, PodState
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.domain.serving.propagation import Reach, assess_reach, find_applied, list_clients

APPLIED, REFUSED = PlanStatus.APPLIED, PlanStatus.REFUSED


def entry(name, digit="1"):
    return ClientEntry(namespace="team", name=name, keys=(KeyEntry(id="a" * 12, sha256=digit * 64),))


def access(generation, *entries):
    return AccessList(kind="AccessList", server_uid="uid", generation=generation, clients=entries)


def client(name, generation=1, uid=None):
    metadata = {"name": name, "namespace": "team", "uid": uid or f"{name}-uid", "generation": generation}
    return ModelClient.from_body({"metadata": metadata, "spec": {"aliases": {"all": True}}})


def list_in_turn(*steps):
    listing = None
    for written, clients in steps:
        listing = list_clients(listing, written, clients, frozenset())
    return {uid: (found.generation, found.since) for uid, found in listing.clients.items()}


WEB, APP = client("web"), client("app")


FIRST, BOTH = (access(3, entry("web")), [WEB]), (entry("web"), entry("app"))
AGAIN = client("web", uid="new")


@pytest.mark.parametrize(
    ("then", "since"),
    [
        ((access(3, entry("web")), [client("web", 2)]), {"web-uid": (2, 3)}),  # the same entry
        ((access(4, *BOTH), [WEB, APP]), {"web-uid": (1, 3), "app-uid": (1, 4)}),
        ((access(4, entry("web", "2")), [client("web", 2)]), {"web-uid": (2, 4)}),
        ((access(4), [client("web", 2)]), {"web-uid": (2, 4)}),  # revoked
        ((access(4), []), {}),  # deleted
        ((access(4, *BOTH), [AGAIN, APP]), {"new": (1, 4), "app-uid": (1, 4)}),
        # Pods may have another list with one of the numbers.
        ((access(4, entry("web")), [WEB]), {"web-uid": (1, 4)}),
        ((access(9, *BOTH), [WEB, APP]), {"web-uid": (1, 9), "app-uid": (1, 9)}),
        ((access(3, *BOTH), [WEB, APP]), {"web-uid": (1, 3), "app-uid": (1, 3)}),
    ],
)
def test_an_entry_is_as_old_as_its_last_change(then, since):
    assert list_in_turn(FIRST) == {"web-uid": (1, 3)}
    assert list_in_turn(FIRST, then) == since


def test_a_client_without_room_is_marked():
    listing = list_clients(None, access(3, entry("web")), [WEB, APP], frozenset({"app-uid"}))
    assert [found.omitted for found in listing.clients.values()] == [False, True]


WRITTEN = access(5)


def state(generation, status=APPLIED, content=""):
    content_hash = content or WRITTEN.content_hash
    report = None if generation is None else AccessState(generation=generation, hash=content_hash, status=status)
    return PodState(pod_uid="pod", boot_id="b", access=report)


@pytest.mark.parametrize(
    ("ready", "report", "before", "reach"),
    [
        (True, state(5), 0, Reach(1)),
        (True, state(5, content="another"), 0, Reach(0, behind=("pool-0",))),
        (True, state(6), 0, Reach(0, behind=("pool-0",))),
        (True, state(4), 0, Reach(0, behind=("pool-0",))),
        (True, state(5, REFUSED), 0, Reach(0, behind=("pool-0",))),
        (True, state(5, REFUSED), 5, Reach(1)),
        (True, None, 4, Reach(0, silent=("pool-0",))),
        (True, None, 5, Reach(1)),
        (True, state(None), 0, Reach(0, behind=("pool-0",))),
        (True, state(0), 0, Reach(0, behind=("pool-0",))),
        # Connections that are open may still bring requests to a pod that is not ready.
        (False, state(4), 0, Reach(0, behind=("pool-0",))),
        (False, state(5), 0, Reach(1)),
        (False, state(0), 0, Reach(0)),
        (False, None, 4, Reach(0, silent=("pool-0",))),
        (False, None, 5, Reach(1)),
        (False, None, 0, Reach(0)),
    ],
)
def test_a_pod_counts_if_it_can_answer_requests(ready, report, before, reach):
    states = {} if report is None else {"pod": report}
    pod = ServerPod("pod", "serving", "pool-0", "10.0.0.1", ready=ready)
    applied = find_applied(WRITTEN, states, {"pod": before})
    assert assess_reach(5, [pod], states, applied) == reach


def test_a_pod_that_does_not_run_does_not_count():
    assert assess_reach(5, [ServerPod("pod", "serving", "pool-0")], {}, {"pod": 4}) == Reach(0)
