from __future__ import annotations

import sys
import time

import pytest

from tunewright_dev import commands
from tunewright_dev.errors import DevError

SAY = [sys.executable, "-c", "print('line 1'); print('line 2')"]
FAIL = [sys.executable, "-c", "import sys; print('what was wrong'); sys.exit(3)"]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_the_output_of_a_logged_program_is_in_its_log(tmp_path):
    log = tmp_path / "logs" / "one.log"
    commands.run_logged(SAY, log)
    assert log.read_text() == "line 1\nline 2\n"


def test_a_failure_names_the_log_and_shows_its_end(tmp_path):
    log = tmp_path / "one.log"
    with pytest.raises(DevError, match=r"exit code 3; its output is in .*one\.log and ends with:\n    what was wrong"):
        commands.run_logged(FAIL, log)


def test_a_missing_program_is_named(tmp_path):
    with pytest.raises(DevError, match="nonexistent is not installed"):
        commands.run_logged(["/nonexistent"], tmp_path / "one.log")
    with pytest.raises(DevError, match="nonexistent is not installed"):
        commands.capture(["/nonexistent"])


def test_a_program_runs_beside_the_block_and_is_waited_for(tmp_path):
    go, log = tmp_path / "go", tmp_path / "one.log"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\nprint('went')"
    with commands.running([sys.executable, "-c", wait], log):
        go.touch()
    assert log.read_text() == "went\n"


def test_a_failure_of_the_program_is_raised_after_the_block(tmp_path):
    done = []
    with pytest.raises(DevError, match="what was wrong"), commands.running(FAIL, tmp_path / "one.log"):
        done.append("block")
    assert done == ["block"]


def test_a_block_that_fails_ends_the_program(tmp_path):
    started = time.monotonic()
    with pytest.raises(DevError, match="the block"), commands.running(SLEEP, tmp_path / "one.log"):
        raise DevError("the block")
    assert time.monotonic() - started < 60
