"""A change is decided again on the object that another writer left, and given up after a while."""

import pytest

from support.worlds.cli_world import entry
from tunewright_cli.cluster import ConflictError, Resource
from tunewright_cli.errors import CommandError
from tunewright_cli.model_client import add_key, end_keys, remove_keys, suspend
from tunewright_cli.new_key import create_key
from tunewright_cli.updates import ATTEMPTS, fetch_client, update_client


def test_concurrent_changes_are_kept(world):
    world.add_client(entry("A"))
    writers = iter("BCD")

    def interfere(verb, resource):
        if verb == "patch" and (letter := next(writers, None)):
            keys = world.client()["spec"]["keys"]
            world.cluster.write(resource, "web", spec={"keys": [*keys, entry(letter)]})

    world.cluster.refuse = interfere
    update_client(world.cluster, "web", lambda client: remove_keys(client, {"A" * 12}))
    assert world.key_ids() == ["B" * 12, "C" * 12, "D" * 12]


def test_a_change_that_never_succeeds_ends(world):
    world.add_client(entry("A"))

    def refuse(verb, _):
        if verb == "patch":
            raise ConflictError("changed")

    world.cluster.refuse = refuse
    with pytest.raises(CommandError, match="changed by another writer 5 times; try again"):
        update_client(world.cluster, "web", suspend)
    assert world.cluster.requests.count("patch modelclients") == ATTEMPTS


def test_unknown_fields_of_a_key_are_kept(world):
    world.add_client({**entry("A"), "comment": "from a later release"}, entry("B"))
    key = create_key(None)
    for decide in (
        lambda client: add_key(client, key, world.now),
        lambda client: end_keys(client, {"A" * 12}, world.now),
        lambda client: remove_keys(client, {"B" * 12}),
    ):
        update_client(world.cluster, "web", decide)
    first = world.client()["spec"]["keys"][0]
    assert first == {**entry("A", "2026-01-01T00:00:00Z"), "comment": "from a later release"}


def test_nothing_is_written_if_nothing_changes(world):
    world.add_client(entry("A", "2026-01-01T00:00:00Z"), suspended=True)
    for decide in (
        suspend,
        lambda client: remove_keys(client, {"B" * 12}),
        lambda client: end_keys(client, {"A" * 12}, world.now),
    ):
        assert update_client(world.cluster, "web", decide) == fetch_client(world.cluster, "web")
    assert "patch modelclients" not in world.cluster.requests


def test_a_client_that_is_deleted_meanwhile_is_missed(world):
    world.add_client(entry("A"))

    def delete():
        del world.cluster.objects[Resource.MODEL_CLIENT, "web"]

    world.operator = delete
    assert world.run("key", "rotate", "web") == 1
    assert world.cluster.objects == {}
