"""The programs of a run. They end with the run, whatever ends it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scale_bench.waiting import wait_until
from tunewright_dev.commands import tail
from tunewright_dev.errors import DevError

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 15.0
INHERITED_VARIABLES = ("LANG", "PATH", "TMPDIR")


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process has used: CPU seconds since its start, and resident memory in MiB, now and at most."""

    cpu_seconds: float
    rss_mib: float
    peak_mib: float


class Daemon:
    """One program that runs until `stop`, with its output in a log."""

    def __init__(
        self, name: str, argv: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._argv = [str(word) for word in argv]
        self._log = log
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._peak = 0.0

    def start(self) -> None:
        """Start the program; call it only from the main thread.

        The kernel kills it when that thread ends, so that not even a killed benchmark leaves a process. Its session is
        new, so that Ctrl-C reaches only the benchmark, which then stops its programs in order.
        """
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, "HOME": str(self._log.parent), **self._environment},
                cwd=self._log.parent,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Return whether the program has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def require_running(self) -> None:
        """Check that the program has not ended.

        Raises:
            DevError: it has ended; the message shows the end of its log.
        """
        if not self.is_running:
            raise DevError(f"{self.name} has ended. {self.explain()}")

    def read_usage(self) -> Usage:
        """Return what the running program has used.

        Raises:
            DevError: it has ended.
        """
        self.require_running()
        assert self._process is not None
        folder = Path("/proc") / str(self._process.pid)
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            status = dict(
                line.split(":", 1) for line in (folder / "status").read_text().splitlines() if line.startswith("Vm")
            )
            peak = _read_mib(status["VmHWM"])
        except (OSError, KeyError) as error:
            raise DevError(f"{self.name} has ended while its usage was read: {error}") from error
        self._peak = max(self._peak, peak)
        return Usage((int(fields[11]) + int(fields[12])) / TICKS, _read_mib(status["VmRSS"]), peak)

    @property
    def peak_mib(self) -> float:
        """The highest peak that was read, of all starts."""
        return self._peak

    async def wait_ready(self, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until a blocking check is true.

        Raises:
            DevError: the program ended, or the check was false for `seconds`.
        """

        async def check() -> bool:
            self.require_running()
            return await asyncio.to_thread(is_ready)

        await wait_until(f"{self.name} to become ready", check, seconds=seconds, explain=self.explain)

    def explain(self) -> str:
        """Return a sentence with the end of the program's log."""
        return f"Its log ends with:\n{tail(self._log.read_text(errors='replace'))}"

    def stop(self) -> None:
        """Stop the program and wait for its end; without effect if it does not run."""
        if self._process is None:
            return
        for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, None)):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self._process = None


def _read_mib(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / 1024
