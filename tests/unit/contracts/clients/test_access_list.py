"""The hash of an access list, what its fields accept, and what a signed document of another kind is to its reader."""

import pytest

from tunewright_contracts.clients.access_list import AccessList, ClientEntry, KeyEntry
from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import ServingPlan

HASH = "9f" * 32


def _list(generation=1, **changes):
    client = ClientEntry(
        namespace="team", name="web", keys=(KeyEntry(id="7Kp2mX9bT4cQ", sha256=HASH),), all_aliases=True
    )
    fields = {"kind": "AccessList", "server_uid": "uid", "generation": generation, "clients": (client,)}
    return AccessList(**(fields | changes))


def test_the_hash_ignores_only_the_generation():
    assert _list(1).content_hash == _list(7).content_hash
    assert _list(anonymous=True).content_hash != _list().content_hash
    assert _list(clients=()).content_hash != _list().content_hash


def test_a_list_is_read_as_it_was_written():
    assert AccessList.from_json(_list().to_json()) == _list()


def test_a_client_can_call_nothing_unless_its_entry_says_so():
    entry = ClientEntry.from_wire({"namespace": "team", "name": "web"})
    assert (entry.all_aliases, entry.aliases, entry.keys) == (False, (), ())


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", "short"), ("id", "7Kp2mX9bT4c_"), ("sha256", HASH.upper()), ("sha256", f"sha256:{HASH}"), ("sha256", "")],
)
def test_a_malformed_key_is_refused(field, value):
    wire = _list().to_wire()
    wire["clients"][0]["keys"][0][field] = value
    with pytest.raises(ContractError, match=rf"clients\.0\.keys\.0\.{field}"):
        AccessList.from_wire(wire)


def test_a_plan_is_not_an_access_list_and_the_reverse():
    plan = ServingPlan(server_uid="uid", generation=9, base_model_digest="sha256:" + "0" * 64)
    with pytest.raises(ContractError, match="kind"):
        AccessList.from_json(plan.to_json())
    with pytest.raises(ContractError, match="baseModelDigest"):
        ServingPlan.from_json(_list().to_json())
