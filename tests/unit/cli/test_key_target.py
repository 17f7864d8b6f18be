"""A file gets a key only if nothing else is lost by it, and a failure leaves no file."""

import pytest

from support.worlds.cli_world import entry, make_key

LINE = f"OPENAI_API_KEY={make_key('A')}\n"


@pytest.mark.parametrize(
    ("verb", "content", "message"),
    [
        ("create", "", "exists; name another file"),
        ("create", LINE, "exists; name another file"),
        ("rotate", "", "has something else than a line OPENAI_API_KEY=<key> with a key of this client"),
        ("rotate", f"{LINE}OTHER=1\n", "has something else than a line"),
        ("rotate", "OPENAI_API_KEY=sk-proj-1\n", "has something else than a line"),
        ("rotate", LINE.replace(make_key("A"), make_key("B")), "has something else than a line"),
        ("rotate", LINE[:-2], "has something else than a line"),
    ],
)
def test_another_file_is_not_replaced(world, capsys, tmp_path, verb, content, message):
    world.add_client(entry("A"))
    path = tmp_path / "web.env"
    path.write_text(content)
    assert world.run("key", verb, "web", "--env-file", str(path)) == 1
    assert message in capsys.readouterr().err
    assert path.read_text() == content
    assert world.key_ids() == ["A" * 12]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("verb", ["create", "rotate"])
def test_a_link_is_not_followed(world, tmp_path, verb):
    world.add_client(entry("A"))
    target, path = tmp_path / "target", tmp_path / "web.env"
    target.write_text(LINE)
    path.symlink_to(target)
    assert world.run("key", verb, "web", "--env-file", str(path)) == 1
    assert target.read_text() == LINE


def test_a_folder_that_does_not_exist_is_noticed_before_the_cluster_knows_the_key(world, capsys, tmp_path):
    world.add_client(entry("A"))
    assert world.run("key", "rotate", "web", "--env-file", str(tmp_path / "none" / "web.env")) == 1
    assert "web.env cannot be written: No such file or directory" in capsys.readouterr().err
    assert "patch modelclients" not in world.cluster.requests


def test_a_file_that_cannot_be_written_in_the_end_leaves_no_key(world, capsys, tmp_path):
    world.add_client(entry("A"))
    path = tmp_path / "web.env"

    def operator():
        path.mkdir()
        world.report()

    world.operator = operator
    assert world.run("key", "rotate", "web", "--env-file", str(path)) == 1
    assert "web.env cannot be written: Is a directory" in capsys.readouterr().err
    assert world.key_ids() == ["A" * 12]
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_cannot_be_printed_is_withdrawn(world, capsys, monkeypatch):
    def fail(text):
        raise BrokenPipeError(32, "Broken pipe")

    world.add_client(entry("A"))
    monkeypatch.setattr("sys.stdout.write", fail)
    assert world.run("key", "create", "web") == 1
    assert "the key cannot be written to stdout: Broken pipe" in capsys.readouterr().err
    assert world.key_ids() == ["A" * 12]
