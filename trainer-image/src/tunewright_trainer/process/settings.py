"""Paths and other settings of a phase; each can be changed, so that a phase also runs outside a pod."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tunewright_contracts.authentication.document_key import DOCUMENT_KEY_PATH
from tunewright_contracts.locations import RUN_SPEC_PATH, SOURCES_ROOT
from tunewright_contracts.progress import PROGRESS_PORT


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Paths, port and identity of one process.

    ``patience_seconds`` is how long the phase retries while the object store or the Hub is unreachable; None: the
    phase's default.
    """

    run_spec: Path
    document_key: Path
    termination_log: Path
    sources_root: Path
    work: Path
    progress_port: int
    pod_uid: str
    patience_seconds: float | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read TUNEWRIGHT_* and POD_UID; the defaults are the values for pods."""
        patience = environment.get("TUNEWRIGHT_STORAGE_PATIENCE_SECONDS")
        return cls(
            run_spec=Path(environment.get("TUNEWRIGHT_RUN_SPEC", RUN_SPEC_PATH)),
            document_key=Path(environment.get("TUNEWRIGHT_DOCUMENT_KEY", DOCUMENT_KEY_PATH)),
            termination_log=Path(environment.get("TUNEWRIGHT_TERMINATION_LOG", "/dev/termination-log")),
            sources_root=Path(environment.get("TUNEWRIGHT_SOURCES_ROOT", SOURCES_ROOT)),
            work=Path(environment.get("TUNEWRIGHT_WORK", "/tmp/tunewright")),  # noqa: S108 - an emptyDir of the pod
            progress_port=int(environment.get("TUNEWRIGHT_PROGRESS_PORT", str(PROGRESS_PORT))),
            # Outside a pod, each process counts as a pod.
            pod_uid=environment.get("POD_UID") or str(uuid.uuid4()),
            patience_seconds=float(patience) if patience else None,
        )
