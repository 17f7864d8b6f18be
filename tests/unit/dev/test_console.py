from __future__ import annotations

from tunewright_dev import console


def test_a_step_ends_with_its_time_and_the_command_that_shows_the_same(capsys):
    with console.step("the chart", "helm status tunewright"):
        pass
    begun, ended, command = capsys.readouterr().out.splitlines()
    assert begun == "  the chart …"
    assert ended.startswith("  the chart: ")
    assert command == "    $ helm status tunewright"


def test_a_step_without_a_command_shows_none(capsys):
    with console.step("waiting"):
        pass
    assert "$" not in capsys.readouterr().out
