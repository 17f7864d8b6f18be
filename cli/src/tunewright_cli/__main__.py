"""The program ``kubectl-tunewright``, which kubectl runs as ``kubectl tunewright``."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tunewright_cli.arguments import parse_arguments
from tunewright_cli.create import run_create
from tunewright_cli.errors import CommandError
from tunewright_cli.kubernetes_cluster import connect
from tunewright_cli.list_keys import run_list
from tunewright_cli.output import Output
from tunewright_cli.revoke import run_revoke
from tunewright_cli.rotate import run_rotate
from tunewright_cli.session import Session

Command = Callable[[argparse.Namespace, Session], None]
COMMANDS: Final[Mapping[str, Command]] = {
    "create": run_create,
    "rotate": run_rotate,
    "revoke": run_revoke,
    "list": run_list,
}
INTERRUPTED: Final = 130


def main(argv: Sequence[str], session: Session | None = None) -> int:
    """Run a command and return the exit code."""
    arguments = parse_arguments(argv)
    output = Output() if session is None else session.output
    try:
        COMMANDS[arguments.verb](arguments, session or Session(lambda: connect(arguments), output))
    except CommandError as error:
        output.note(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001 - the interpreter would print the traceback unmasked
        output.note(traceback.format_exc())
        return 1
    return 0


def run() -> None:
    """Run the command of this process's arguments: the console script."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
