"""The bytes that adapters may take of their volume: the kubelet evicts a pod whose volume is over its limit."""

from __future__ import annotations

import threading

from tunewright_storage.adapter_reasons import AdapterError, AdapterReason


class DiskBudget:
    """Counts what each adapter takes. Thread-safe, because adapters are fetched in threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def reserve(self, name: str, size: int) -> None:
        """Reserve space for an adapter, in place of an earlier reservation under its name.

        Raises:
            AdapterError: the other adapters do not leave that much; an attempt may succeed after one was removed.
        """
        with self._lock:
            others = sum(taken for other, taken in self._sizes.items() if other != name)
            if others + size > self._max_bytes:
                raise AdapterError(
                    AdapterReason.VOLUME_FULL,
                    f"the adapter has {size} bytes, but the other adapters of this pod have {others} of "
                    f"{self._max_bytes}; publish the adapter with a lower rank, or wait until others are removed",
                    retryable=True,
                )
            self._sizes[name] = size

    def release(self, name: str) -> None:
        """Release an adapter's space; without a reservation it does nothing."""
        with self._lock:
            self._sizes.pop(name, None)
