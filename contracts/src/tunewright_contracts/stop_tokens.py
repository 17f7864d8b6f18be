"""The tokens with which an adapter learned to end its answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_STOP_TOKENS = 16
"""A chat template ends answers with one token, seldom with two."""

StopTokens = Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 31)], ...], Field(max_length=MAX_STOP_TOKENS)]
"""Token IDs that end an answer, in ascending order, in addition to those of the base model.

They travel from the prepared data to the adapter's manifest, to the serving plan, and to each request. Documents of an
earlier release have None: only the base model's tokens end an answer.
"""
