"""Refuse a machine on which the local cluster cannot run, before anything is installed on it.

`dev/bootstrap --cluster` runs this with the machine's own python3, before there is an environment: it imports, and so
does all that it imports, the standard library only.
"""

from __future__ import annotations

import sys

from tunewright_dev import console
from tunewright_dev.errors import DevError
from tunewright_dev.local import host
from tunewright_dev.paths import find_paths, is_existing


def main() -> int:
    """Say everything that the machine misses; an existing cluster asks nothing of it."""
    try:
        if not is_existing():
            host.require_supported(find_paths())
    except DevError as error:
        console.warn(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
