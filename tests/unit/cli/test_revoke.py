"""Revoked keys are removed, and the command ends when every replica knows it."""

import pytest

from support.worlds.cli_world import entry, make_key, refusing
from tunewright_cli.cluster import ConflictError, Resource

A, B, C = "A" * 12, "B" * 12, "C" * 12


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ([A], [B, C]),
        ([A, C], [B]),
        ([make_key("B")], [A, C]),
        (["--all"], []),
        (["-n", "support", C], [A, B]),
        (["--timeout", "5s", B, "-n", "support"], [A, C]),
    ],
)
def test_keys_are_removed(world, capsys, options, left):
    world.add_client(entry("A"), entry("B"), entry("C"), suspended=True)
    assert world.run("key", "revoke", "web", *options) == 0
    assert world.key_ids() == left
    assert world.client()["spec"]["suspended"]
    messages = capsys.readouterr().err
    assert f"left: {', '.join(left) or 'none'}" in messages
    assert "Propagated: 3/3. Propagated: all" in messages


def test_a_client_is_suspended_and_keeps_its_keys(world, capsys):
    world.add_client(entry("A"))
    assert world.run("key", "revoke", "web", "--suspend") == 0
    assert world.client()["spec"]["suspended"]
    assert world.key_ids() == [A]
    messages = capsys.readouterr().err
    assert """kubectl patch -n support modelclient web --type=merge -p '{"spec":{"suspended":false}}'""" in messages
    assert "Propagated: 3/3" in messages
    assert world.run("key", "revoke", "web", "--suspend") == 0  # already so: nothing is written
    assert world.cluster.requests.count("patch modelclients") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name the keys to revoke, or --all, or --suspend"),
        ([A, "--all"], "name the keys to revoke"),
        (["--all", "--suspend"], "name the keys to revoke"),
        ([B], f"ModelClient web in namespace support has no key {B}; its keys: {A}"),
        ([A, B], f"has no key {B}"),
    ],
)
def test_a_refused_command_changes_nothing(world, capsys, options, message):
    world.add_client(entry("A"))
    before = str(world.cluster.objects)
    assert world.run("key", "revoke", "web", *options) == 1
    assert message in capsys.readouterr().err
    assert str(world.cluster.objects) == before


def test_a_replica_that_does_not_answer_is_named(world, capsys):
    world.add_client(entry("A"))
    world.operator = lambda: world.report("False", converged=2, message="pool-1 does not answer the operator.")
    assert world.run("key", "revoke", "web", A, "--timeout", "3s") == 3
    messages = capsys.readouterr().err
    assert "not known to be applied by all replicas after 3 s: 2/3. Propagated: pool-1 does not answer" in messages
    assert "kubectl wait -n support modelclient/web --for=condition=Propagated" in messages
    assert world.key_ids() == []


def test_a_report_on_an_earlier_spec_does_not_count(world):
    world.add_client(entry("A"))
    world.report()
    world.operator = lambda: None
    assert world.run("key", "revoke", "web", A, "--timeout", "3s") == 3
    assert world.run("key", "revoke", "web", "--all", "--no-wait") == 0


def test_a_copy_of_the_key_in_another_client_is_named(world, capsys):
    world.add_client(entry("A"), entry("B"))
    world.add_client({**entry("A"), "id": C}, name="thief")
    world.add_client(entry("B"), name="other")
    assert world.run("key", "revoke", "web", A) == 0
    messages = capsys.readouterr().err
    assert f"warning: ModelClient thief has the key {C} too; revoke it there" in messages
    assert "other" not in messages


def test_a_user_who_may_not_list_can_revoke(world):
    world.add_client(entry("A"))
    world.cluster.refuse = refusing("list", Resource.MODEL_CLIENT)
    assert world.run("key", "revoke", "web", A) == 0


def test_all_includes_a_key_that_was_added_meanwhile(world):
    world.add_client(entry("A"))
    conflicts = []

    def interfere(verb, resource):
        if verb == "patch" and not conflicts:
            conflicts.append(verb)
            world.add_client(entry("A"), entry("B"))
            raise ConflictError("changed")

    world.cluster.refuse = interfere
    assert world.run("key", "revoke", "web", "--all") == 0
    assert world.key_ids() == []
