"""Run other programs and turn their failures into messages."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tunewright_dev.errors import DevError

TAIL_LINES = 20


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of `text`, indented for a message."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])


def capture(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run `argv`, wait for its end, and return its standard output.

    Raises:
        DevError: it could not be started, or failed; the message has the command and the end of its output.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=stdin, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise DevError(explain_missing(words[0], error)) from error
    if done.returncode != 0:
        raise DevError(
            f"`{shlex.join(words)}` failed with exit code {done.returncode}:\n{tail(done.stderr or done.stdout)}"
        )
    return done.stdout


def run_logged(
    argv: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run `argv` with all its output in the file `log`, and wait for its end.

    Raises:
        DevError: it failed; the message names the log and shows its end.
    """
    with running(argv, log, env=env, cwd=cwd):
        pass


@contextmanager
def running(
    argv: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `argv` while the block runs, with all its output in the file `log`, and wait for its end after the block.

    If the block fails, the program is stopped.

    Raises:
        DevError: the program failed; the message names the log and shows its end.
    """
    words = [str(word) for word in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                words, env={**os.environ, **(env or {})}, cwd=cwd, stdout=output, stderr=subprocess.STDOUT
            )
        except FileNotFoundError as error:
            raise DevError(explain_missing(words[0], error)) from error
    try:
        yield process
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise DevError(
            f"`{shlex.join(words)}` failed with exit code {code}; its output is in {log} and ends with:\n"
            f"{tail(log.read_text(errors='replace'))}"
        )


def explain_missing(program: str, error: FileNotFoundError) -> str:
    """Return the message about a missing program."""
    return f"{program} is not installed: {error}. Run `make up`, which installs what is missing."
