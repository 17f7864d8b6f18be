"""Which key belongs to which client, and which aliases its caller may call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.worlds.server_world import make_access, make_client
from tunewright_contracts.clients.client_key import build_client_key
from tunewright_contracts.serving_plan import Route
from tunewright_server.access.callers import ANONYMOUS, Callers

NOW = 1_800_000_000
FIRST, SECOND = build_client_key("A" * 12, "a" * 43), build_client_key("B" * 12, "b" * 43)
SUPPORT, BILLING, FOREIGN = (
    Route(alias="support", namespace="team"),
    Route(alias="billing", namespace="team"),
    Route(alias="support", namespace="other"),
)


def team(*keys, **changes):
    return make_client(*keys, namespace="team", **changes)


def test_a_key_belongs_to_its_client():
    caller = Callers(make_access(1, team(FIRST, name="web"), team(SECOND, name="batch"))).identify(SECOND, NOW)
    assert ([client.name for client in caller.clients], caller.key_id) == (["batch"], "B" * 12)


def test_both_keys_of_a_rotation_are_valid():
    callers = Callers(make_access(1, team(FIRST, SECOND)))
    assert callers.identify(FIRST, NOW).clients == callers.identify(SECOND, NOW).clients


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize(
    "token",
    [
        SECOND,  # unknown
        build_client_key("A" * 12, "c" * 43),  # the id of a known key with another secret
        FIRST[:-1] + "x",  # the checksum is wrong
        "sk-tw-",
        f"{FIRST} {SECOND}",
    ],
)
def test_what_looks_like_a_key_and_is_not_valid_is_refused(token, anonymous):
    assert Callers(make_access(1, team(FIRST), anonymous=anonymous)).identify(token, NOW) is None


@pytest.mark.parametrize("token", [None, "", "none", "sk-proj-1"])
def test_a_request_without_a_key_is_anonymous_if_the_pool_allows_it(token):
    assert Callers(make_access(1, team(FIRST))).identify(token, NOW) is None
    assert Callers(make_access(1, team(FIRST), anonymous=True)).identify(token, NOW) is ANONYMOUS


@pytest.mark.parametrize(("expires_at", "valid"), [(None, True), (NOW + 1, True), (NOW, False), (NOW - 1, False)])
def test_a_key_ends_at_its_time(expires_at, valid):
    callers = Callers(make_access(1, team(FIRST, expires_at=expires_at)))
    assert (callers.identify(FIRST, NOW) is not None) == valid


@pytest.mark.parametrize(
    ("aliases", "support", "billing"),
    [
        ({"all_aliases": True}, True, True),
        ({"all_aliases": False, "aliases": ("support",)}, True, False),
        ({"all_aliases": False, "aliases": ()}, False, False),
    ],
)
def test_a_client_may_call_the_aliases_of_its_entry_in_its_own_namespace(aliases, support, billing):
    caller = Callers(make_access(1, team(FIRST, **aliases))).identify(FIRST, NOW)
    assert [caller.may_call(route) for route in (SUPPORT, BILLING, FOREIGN)] == [support, billing, False]


def test_an_anonymous_caller_may_call_every_alias():
    assert all(ANONYMOUS.may_call(route) for route in (SUPPORT, BILLING, FOREIGN))


def test_a_repeated_hash_takes_nothing_from_its_owner_and_gives_only_what_the_other_team_has():
    owner, thief = team(FIRST), make_client(FIRST, namespace="other", expires_at=NOW - 1)
    for clients in ((owner, thief), (thief, owner)):
        caller = Callers(make_access(1, *clients)).identify(FIRST, NOW)
        assert [caller.may_call(route) for route in (SUPPORT, FOREIGN)] == [True, False]
    caller = Callers(make_access(1, make_client(FIRST, namespace="other"), owner)).identify(FIRST, NOW)
    assert [caller.may_call(route) for route in (SUPPORT, FOREIGN)] == [True, True]


@given(st.text() | st.text().map(lambda text: f"sk-tw-{text}"))
def test_any_token_can_be_judged(token):
    assert Callers(make_access(1, team(FIRST))).identify(token, NOW) is None
