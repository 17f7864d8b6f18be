"""Keys are listed by their public ids."""

from support.worlds.cli_world import entry

TABLE = """\
CLIENT   KEY            ENDS                   STATE
bot      CCCCCCCCCCCC   never                  suspended
web      AAAAAAAAAAAA   2025-12-31T00:00:00Z   ended
web      BBBBBBBBBBBB   2026-02-01T00:00:00Z   valid
"""


def test_the_keys_of_all_clients(world, capsys):
    world.add_client(entry("A", "2025-12-31T00:00:00Z"), entry("B", "2026-02-01T00:00:00+00:00"))
    world.add_client(entry("C"), name="bot", suspended=True)
    assert world.run("key", "list") == 0
    assert capsys.readouterr().out == TABLE


def test_the_keys_of_one_client(world, capsys):
    world.add_client(entry("A"))
    world.add_client(entry("C"), name="bot")
    assert world.run("key", "list", "bot") == 0
    assert capsys.readouterr().out.split()[4:] == ["bot", "C" * 12, "never", "valid"]


def test_no_keys(world, capsys):
    assert world.run("key", "list") == 0
    assert capsys.readouterr() == ("", "no keys in namespace support\n")
    assert world.run("key", "list", "web") == 1
