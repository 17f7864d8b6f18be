"""A rotation hands over a key that works everywhere, then lets the old one end; or it changes nothing."""

import base64
import datetime as dt

import pytest

from support.worlds.cli_world import entry, refusing
from tunewright_cli.cluster import Resource
from tunewright_contracts.clients.client_key import find_key_id

IN_7_DAYS, IN_90_DAYS = "2026-01-08T00:00:00Z", "2026-04-01T00:00:00Z"


def ends(world):
    return [key.get("notAfter") for key in world.client()["spec"]["keys"]]


@pytest.mark.parametrize(
    ("keys", "options", "expected"),
    [
        (["A"], [], [IN_7_DAYS, IN_90_DAYS]),
        (["A"], ["--overlap", "1d", "--expires", "never"], ["2026-01-02T00:00:00Z", None]),
        ([("A", "2026-01-03T00:00:00Z"), "B"], [], ["2026-01-03T00:00:00Z", IN_7_DAYS, IN_90_DAYS]),
        (["A", "B"], ["B" * 12], [None, IN_7_DAYS, IN_90_DAYS]),
        (["A", "B"], ["--all"], [IN_7_DAYS, IN_7_DAYS, IN_90_DAYS]),
        ([("A", "2026-01-03T00:00:00Z")], ["--all"], ["2026-01-03T00:00:00Z", IN_90_DAYS]),
        ([], [], [IN_90_DAYS]),
        # Keys that ended long ago make room; those that ended today may still be valid by another clock.
        ([("A", "2025-12-30T00:00:00Z"), "B"], [], [IN_7_DAYS, IN_90_DAYS]),
        ([("A", "2025-12-31T12:00:00Z"), "B"], [], ["2025-12-31T12:00:00Z", IN_7_DAYS, IN_90_DAYS]),
    ],
)
def test_the_old_key_ends_later_and_never_later_than_before(world, capsys, keys, options, expected):
    world.add_client(*(entry(key) if isinstance(key, str) else entry(*key) for key in keys))
    assert world.run("key", "rotate", "web", *options) == 0
    assert find_key_id(capsys.readouterr().out.strip()) == world.key_ids()[-1]
    assert ends(world) == expected


@pytest.mark.parametrize(
    ("keys", "options", "message"),
    [
        (["A", "B"], [], "has 2 keys that do not end by 2026-01-08T00:00:00Z: AAAAAAAAAAAA, BBBBBBBBBBBB; name those"),
        (["A"], ["B" * 12], "has no key BBBBBBBBBBBB; its keys: AAAAAAAAAAAA"),
        (["A"], ["--expires", "3d"], "would end before the old one"),
        (["A"], ["-n", "support", "--overlap", "52w"], "would end before the old one"),
        (list("ABCDEFGH"), ["--all"], "has 8 keys"),
        (None, [], "namespace support has no ModelClient web"),
    ],
)
def test_a_refused_rotation_changes_nothing(world, capsys, keys, options, message):
    if keys is not None:
        world.add_client(*map(entry, keys))
    before = str(world.cluster.objects)
    assert world.run("key", "rotate", "web", *options) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert str(world.cluster.objects) == before


def test_no_request_is_lost_the_new_key_is_known_before_it_is_handed_over(world, capsys):
    world.add_client(entry("A"))
    seen = []

    def operator():
        seen.append((capsys.readouterr().out, world.key_ids()[0], ends(world)))
        if len(seen) == 3:
            world.report()

    world.operator = operator
    assert world.run("key", "rotate", "web") == 0
    assert seen == [("", "A" * 12, [None, IN_90_DAYS])] * 3
    assert ends(world) == [IN_7_DAYS, IN_90_DAYS]


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_key_that_not_every_replica_knows_is_withdrawn(world, capsys, interrupt):
    world.add_client(entry("A"))

    def operator():
        world.report("False", converged=2, message="pool-1 does not answer the operator")
        if interrupt:
            raise KeyboardInterrupt

    world.operator = operator
    world.cluster.write(
        Resource.SECRET, "web-key", metadata={"annotations": {"tunewright.dev/model-client": "web"}}, data={"a": "b"}
    )
    assert world.run("key", "rotate", "web", "--to-secret", "web-key", "--timeout", "5s") == (130 if interrupt else 3)
    assert world.client()["spec"]["keys"] == [entry("A")]
    assert world.secret("web-key")["data"] == {"a": "b"}
    messages = capsys.readouterr().err
    assert "was removed again; the other keys are unchanged" in messages
    assert interrupt or "2/3. Propagated: pool-1 does not answer the operator" in messages


def test_without_an_operator_a_rotation_needs_no_wait(world, capsys):
    world.add_client(entry("A"))
    world.operator = lambda: None
    assert world.run("key", "rotate", "web", "--timeout", "5s") == 3
    assert "the operator has not reported on this change" in capsys.readouterr().err
    waited = world.now
    assert world.run("key", "rotate", "web", "--no-wait") == 0
    assert len(world.key_ids()) == 2
    assert world.now == waited


def test_a_secret_of_the_client_is_replaced_again_and_again(world):
    assert world.run("key", "create", "web", "--alias", "a", "--to-secret", "web-key") == 0
    for _ in range(12):
        world.now += dt.timedelta(days=30)
        assert world.run("key", "rotate", "web", "--to-secret", "web-key") == 0
        stored = base64.b64decode(world.secret("web-key")["data"]["OPENAI_API_KEY"]).decode()
        assert find_key_id(stored) == world.key_ids()[-1]


def test_a_secret_of_a_client_without_keys_is_replaced(world):
    assert world.run("key", "create", "web", "--alias", "a", "--to-secret", "web-key") == 0
    assert world.run("key", "revoke", "web", "--all") == 0
    assert world.run("key", "rotate", "web", "--to-secret", "web-key") == 0
    assert world.secret("web-key")["metadata"]["annotations"]["tunewright.dev/key-id"] == world.key_ids()[0]


@pytest.mark.parametrize("annotations", [{}, {"tunewright.dev/model-client": "other"}])
def test_a_foreign_secret_is_not_replaced(world, capsys, annotations):
    world.add_client(entry("A"))
    world.cluster.write(Resource.SECRET, "db", metadata={"annotations": annotations}, data={"a": "b"})
    assert world.run("key", "rotate", "web", "--to-secret", "db") == 1
    assert "does not have the annotation tunewright.dev/model-client: web" in capsys.readouterr().err
    assert world.secret("db")["data"] == {"a": "b"}
    assert world.client()["spec"]["keys"] == [entry("A")]


def test_a_secret_that_changed_meanwhile_is_not_replaced(world, capsys):
    world.add_client(entry("A"))
    assert world.run("key", "rotate", "web", "--to-secret", "web-key") == 0

    def operator():
        world.cluster.write(Resource.SECRET, "web-key", data={"OPENAI_API_KEY": "another"})
        world.report()

    world.operator = operator
    capsys.readouterr()
    ids = world.key_ids()
    assert world.run("key", "rotate", "web", "--to-secret", "web-key") == 1
    assert "Secret web-key was changed by another writer" in capsys.readouterr().err
    assert world.key_ids() == ids


def test_an_end_that_cannot_be_written_is_reported_after_the_key(world, capsys):
    world.add_client(entry("A"))

    def refuse(verb, resource):
        if len(world.key_ids()) > 1:
            refusing("patch", Resource.MODEL_CLIENT, "not now")(verb, resource)

    world.cluster.refuse = refuse
    assert world.run("key", "rotate", "web") == 1
    captured = capsys.readouterr()
    assert find_key_id(captured.out.strip()) == world.key_ids()[-1]
    assert "not now" in captured.err


def test_a_file_of_an_earlier_key_is_replaced(world, tmp_path):
    path = tmp_path / "web.env"
    assert world.run("key", "create", "web", "--alias", "a", "--env-file", str(path)) == 0
    before = path.read_text()
    assert world.run("key", "rotate", "web", "--env-file", str(path)) == 0
    assert path.read_text() != before
    assert world.key_ids()[-1] in path.read_text()
    assert [found.name for found in tmp_path.iterdir()] == ["web.env"]
