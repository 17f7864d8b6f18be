from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from scale_bench.daemons import Daemon
from tunewright_dev.errors import DevError

BUSY = "import sys, time\nprint('started', flush=True)\nwhile True: time.sleep(0.05)"


def start(tmp_path: Path, code: str) -> Daemon:
    daemon = Daemon("program", [sys.executable, "-c", code], tmp_path / "program.log")
    daemon.start()
    return daemon


async def test_a_program_is_ready_used_and_stopped(tmp_path):
    daemon = start(tmp_path, BUSY)
    try:
        await daemon.wait_ready(lambda: "started" in (tmp_path / "program.log").read_text(), seconds=30)
        usage = daemon.read_usage()
        assert usage.cpu_seconds > 0
        assert usage.peak_mib >= usage.rss_mib > 1
        assert daemon.peak_mib == usage.peak_mib
    finally:
        daemon.stop()
    assert not daemon.is_running


async def test_a_program_that_ends_is_reported_with_its_log(tmp_path):
    daemon = start(tmp_path, "import sys; sys.exit('no such flag')")
    with pytest.raises(DevError, match="no such flag"):
        await daemon.wait_ready(lambda: False, seconds=30)
    daemon.stop()


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr("scale_bench.daemons.STOP_SECONDS", 0.2)
    daemon = start(tmp_path, f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{BUSY}")
    while "started" not in (tmp_path / "program.log").read_text():
        time.sleep(0.02)
    daemon.stop()
    assert not daemon.is_running


def test_a_program_ends_with_the_process_that_started_it(tmp_path):
    pid_file = tmp_path / "pid"
    code = f"import os\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n{BUSY}"
    child = os.fork()
    if child == 0:
        start(tmp_path, code)
        signal.pause()
    while not pid_file.exists() or not pid_file.read_text():
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    program = Path("/proc") / pid_file.read_text()
    while program.exists() and "Z" not in (program / "stat").read_text().rpartition(")")[2].split()[0]:
        time.sleep(0.02)
