from __future__ import annotations

import threading

from tunewright_dev import console


def test_a_step_ends_with_its_time_and_a_command_that_shows_its_state(capsys):
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


def test_a_step_beside_others_ends_with_the_step_that_it_follows(capsys):
    ended = threading.Event()
    shown = console.follow("building", ended.wait)
    console.say("meanwhile")
    ended.set()
    shown.join(timeout=10)
    begin, end = [line for line in capsys.readouterr().out.splitlines() if "building" in line]
    assert begin == "  building …"
    assert end.startswith("  building: ")
