"""Check that the local cluster can run on this machine, before anything is installed on it.

`dev/bootstrap --cluster` runs this with the machine's python3, before there is an environment. So this module and the
modules that it imports use only the standard library.
"""

from __future__ import annotations

import sys

from tunewright_dev import console
from tunewright_dev.errors import DevError
from tunewright_dev.local import host
from tunewright_dev.paths import find_paths, is_existing


def main() -> int:
    """Print everything that the machine lacks; an existing cluster needs nothing on it."""
    try:
        if not is_existing():
            host.require_supported(find_paths())
    except DevError as error:
        console.warn(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
