"""When another attempt follows a failed one, and with which micro-batch."""

from __future__ import annotations

import datetime as dt

FIRST_PAUSE_SECONDS = 20
MAX_PAUSE_SECONDS = 300


def pause_before_restart(restarts: int) -> dt.timedelta:
    """Return the pause before restart number ``restarts + 1``: 20 s, 40 s, 80 s … up to 5 minutes.

    The first three together are longer than an object store's outage of two minutes.
    """
    return dt.timedelta(seconds=min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(restarts, 10)))


def reduce_micro_batch(current: int | None, batch_size: int) -> int | None:
    """Return the next smaller micro-batch after memory ran out; None if one record at a time was too much.

    Args:
        current: the limit of the attempt that failed; None: the trainer chose it, at most the whole batch.
        batch_size: the global batch; gradient accumulation keeps it unchanged.
    """
    size = current or batch_size
    return size // 2 if size > 1 else None
