"""A key is created for a new client or one that exists, and goes to exactly one place."""

import base64
import stat

import pytest
import yaml

from support.worlds.cli_world import START, entry, refusing
from tunewright_cli.cluster import AlreadyExistsError, ClusterError, Resource
from tunewright_contracts.clients.client_key import find_key_id, hash_client_key


def read_key(capsys):
    """Return the key, the only line on stdout."""
    captured = capsys.readouterr()
    key = captured.out.removesuffix("\n")
    assert find_key_id(key)
    assert key[19:] not in captured.err
    return key, captured.err


@pytest.mark.parametrize(
    ("options", "aliases"),
    [
        (["--alias", "b", "--alias", "a", "--alias", "b"], {"names": ["a", "b"]}),
        (["--selector", "app=triage,tier="], {"selector": {"matchLabels": {"app": "triage", "tier": ""}}}),
        (["--all-aliases"], {"all": True}),
    ],
)
def test_a_new_client_is_created_with_the_hash_of_the_printed_key(world, capsys, options, aliases):
    assert world.run("key", "create", "web", *options) == 0
    key, messages = read_key(capsys)
    spec = world.client()["spec"]
    assert spec["aliases"] == aliases
    assert spec["keys"] == [{"id": key[6:18], "sha256": hash_client_key(key), "notAfter": "2026-04-01T00:00:00Z"}]
    assert f"web in namespace support has the new key {key[6:18]}, which ends at 2026-04-01T00:00:00Z" in messages


@pytest.mark.parametrize(
    ("found", "options"),
    [
        ({"names": ["b", "a"]}, []),
        ({"names": ["b", "a"]}, ["--alias", "a", "--alias", "b"]),
        ({"all": True}, ["--all-aliases"]),
        ({"all": False, "names": ["a"]}, ["--alias", "a"]),
        ({"selector": {"matchLabels": {"app": "x"}}}, ["-l", "app=x"]),
    ],
)
def test_a_client_that_exists_gets_another_key_and_keeps_the_rest(world, capsys, found, options):
    world.add_client(entry("A"), aliases=found, suspended=True)
    assert world.run("key", "create", "web", *options, "--expires", "never") == 0
    key, _ = read_key(capsys)
    assert world.client()["spec"] == {
        "keys": [entry("A"), {"id": key[6:18], "sha256": hash_client_key(key)}],
        "aliases": found,
        "suspended": True,
    }


REFUSED = (
    ([], [], "no ModelClient web; to create it, name the aliases"),
    ([], ["--alias", "a", "--expires", "soon"], "neither a duration"),
    ([], ["-l", "app!=x"], "'app!=x' is not a label"),
    ([], ["-l", "app"], "'app' is not a label"),
    ([], ["-l", "app==x"], "'app==x' is not a label"),
    ([entry("A")], ["--alias", "other"], "web exists, with other aliases"),
    ([entry("A")], ["--all-aliases"], "web exists, with other aliases"),
    ([entry(letter) for letter in "ABCDEFGH"], [], "has 8 keys, the most that it can have"),
    (
        [entry("A", "2025-12-31T00:00:00Z"), *(entry(letter) for letter in "BCDEFGH")],
        [],
        "remove those that have ended (AAAAAAAAAAAA): kubectl tunewright key revoke web ID",
    ),
    ([], ["--alias", "a", "--dry-run"], "name a file for the key"),
    ([], ["--alias", "a", "-o", "yaml", "--to-secret", "s"], "use --env-file instead of --to-secret"),
)


@pytest.mark.parametrize(("keys", "options", "message"), REFUSED)
def test_a_refused_command_changes_nothing_and_prints_no_key(world, capsys, keys, options, message):
    if keys:
        world.add_client(*keys)
    before = str(world.cluster.objects)
    assert world.run("key", "create", "web", *options) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert str(world.cluster.objects) == before


def test_a_client_that_another_user_just_created_gets_the_key(world, capsys):
    def interfere(verb, resource):
        if verb == "create":
            world.add_client(entry("A"))
            raise AlreadyExistsError("exists")

    world.cluster.refuse = interfere
    assert world.run("key", "create", "web", "--alias", "triage") == 0
    assert world.key_ids() == ["A" * 12, read_key(capsys)[0][6:18]]


def test_a_key_whose_answer_was_lost_is_not_added_twice(world, capsys):
    world.add_client(entry("A"))
    patch = world.cluster.patch

    def lose_answer(*arguments, **options):
        world.cluster.patch = patch
        patch(*arguments, **options)
        return patch(*arguments, **options)  # a proxy repeats the request

    world.cluster.patch = lose_answer
    assert world.run("key", "create", "web") == 0
    assert world.key_ids() == ["A" * 12, read_key(capsys)[0][6:18]]


def test_the_key_goes_to_a_secret(world, capsys):
    assert world.run("key", "create", "web", "--alias", "a", "--to-secret", "web-key") == 0
    captured = capsys.readouterr()
    secret = world.secret("web-key")
    key = base64.b64decode(secret["data"]["OPENAI_API_KEY"]).decode()
    assert hash_client_key(key) == world.client()["spec"]["keys"][0]["sha256"]
    assert secret["metadata"]["annotations"] == {
        "tunewright.dev/model-client": "web",
        "tunewright.dev/key-id": key[6:18],
    }
    assert captured.out == ""
    assert "Secret web-key" in captured.err
    assert key[19:] not in captured.err


def test_a_secret_that_exists_is_not_replaced(world, capsys):
    world.cluster.write(Resource.SECRET, "web-key", data={"a": "b"})
    assert world.run("key", "create", "web", "--alias", "a", "--to-secret", "web-key") == 1
    assert "Secret web-key exists, so it is not replaced" in capsys.readouterr().err
    assert world.secret("web-key")["data"] == {"a": "b"}
    assert len(world.cluster.objects) == 1


def test_a_secret_that_may_not_be_created_leaves_no_client(world):
    world.cluster.refuse = refusing("check", Resource.SECRET)
    assert world.run("key", "create", "web", "--alias", "a", "--to-secret", "web-key") == 1
    assert world.cluster.objects == {}


@pytest.mark.parametrize("withdrawn", [True, False])
def test_a_key_that_cannot_be_delivered_leaves_no_entry(world, capsys, withdrawn):
    world.add_client(entry("A"))

    def refuse(verb, resource):
        if (verb, resource) == ("create", Resource.SECRET):
            if not withdrawn:
                world.cluster.refuse = refusing("patch", Resource.MODEL_CLIENT)
            raise ClusterError("quota exceeded")

    world.cluster.refuse = refuse
    assert world.run("key", "create", "web", "--to-secret", "web-key") == 1
    messages = capsys.readouterr().err
    assert "quota exceeded" in messages
    assert len(world.key_ids()) == (1 if withdrawn else 2)
    assert ("was removed again" if withdrawn else "is still in ModelClient web: refused") in messages


def test_the_key_goes_to_a_file_of_its_owner(world, capsys, tmp_path):
    path = tmp_path / "web.env"
    assert world.run("key", "create", "web", "--alias", "a", "--env-file", str(path)) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    name, _, key = path.read_text().removesuffix("\n").partition("=")
    assert name == "OPENAI_API_KEY"
    assert hash_client_key(key) == world.client()["spec"]["keys"][0]["sha256"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("option", [["--dry-run"], ["--dry-run=client", "-o", "yaml"], ["-o", "yaml"]])
def test_a_dry_run_prints_the_hash_and_asks_no_cluster(world, capsys, tmp_path, option):
    path = tmp_path / "web.env"
    command = ("key", "create", "web", "-n", "team", "--alias", "a", "--env-file", str(path), *option)
    assert world.run(*command) == 0
    key = path.read_text().strip().partition("=")[2]
    text = capsys.readouterr().out
    assert yaml.safe_load(text) == {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "ModelClient",
        "metadata": {"name": "web", "namespace": "team"},
        "spec": {
            "keys": [{"id": key[6:18], "sha256": hash_client_key(key), "notAfter": "2026-04-01T00:00:00Z"}],
            "aliases": {"names": ["a"]},
        },
    }
    assert key[19:] not in text
    assert world.connected == 0


def test_a_dry_run_without_aliases_prints_a_fragment(world, capsys, tmp_path):
    assert world.run("key", "create", "web", "--dry-run", "--env-file", str(tmp_path / "web.env")) == 0
    captured = capsys.readouterr()
    body = yaml.safe_load(captured.out)
    assert body["metadata"] == {"name": "web"}
    assert body["spec"].keys() == {"keys"}
    assert "add its entry of spec.keys to the ModelClient web" in captured.err


def test_the_command_waits_only_if_it_is_asked_to(world, capsys):
    assert world.run("key", "create", "web", "--alias", "a") == 0
    assert world.now == START
    assert world.run("key", "create", "web", "--wait") == 0
    assert "Propagated: 3/3" in capsys.readouterr().err
    world.operator = lambda: world.report("False", converged=1, message="pool-2 does not answer the operator")
    assert world.run("key", "create", "web", "--wait", "--timeout", "5s") == 3
    captured = capsys.readouterr()
    assert "1/3. Propagated: pool-2 does not answer the operator" in captured.err
    assert captured.out[6:18] in world.key_ids()


def test_the_command_warns_of_a_client_that_can_call_nothing(world, capsys):
    world.operator = lambda: world.report(ready="False", message="the list is full")
    assert world.run("key", "create", "web", "--alias", "a", "--wait") == 0
    assert "warning: Ready: the list is full" in capsys.readouterr().err
