"""What a command prints: its result on stdout, everything else on stderr, so that the result can be piped."""

from __future__ import annotations

import re
import sys
from typing import Final

from tunewright_contracts.clients.client_key import MASK, mask_client_keys

_ENCODED_KEY: Final = re.compile(r"(?<=\bc2stdHct)[0-9A-Za-z+/=]{8,}")
"""A key in base64, as a Secret has it: the prefix of all keys has six bytes, and so eight characters of its own."""


class Output:
    """The two streams of the process."""

    def result(self, text: str) -> None:
        """Print what the user asked for, such as a new key."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a message. A key in it, for example in an error that quotes a request, is masked."""
        masked = _ENCODED_KEY.sub(MASK, mask_client_keys(text))
        sys.stderr.write(f"{masked}\n")
        sys.stderr.flush()
