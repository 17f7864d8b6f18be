"""The paths of a server pod's files: defined by the contracts; each can be changed for a run outside a pod."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from tunewright_contracts.clients.access_list import ACCESS_DIRECTORY
from tunewright_contracts.server_config import SERVER_CONFIG_PATH, STATE_DIRECTORY
from tunewright_contracts.serving_plan import PLAN_DIRECTORY, PUBLIC_KEY_PATH, SERVER_PORT

BASE_MODEL_FOLDER = "base-model"
ADAPTERS_FOLDER = "adapters"
STORED_PLAN_NAME = "plan.json"
STORED_ACCESS_NAME = "access.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The pod's paths, port and identity."""

    config_path: Path
    plan_directory: Path
    access_directory: Path
    public_key_path: Path
    state_directory: Path
    port: int
    host: str
    pod_uid: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read TUNEWRIGHT_* overrides and POD_UID (downward API)."""
        return cls(
            config_path=Path(environment.get("TUNEWRIGHT_SERVER_CONFIG", SERVER_CONFIG_PATH)),
            plan_directory=Path(environment.get("TUNEWRIGHT_PLAN_DIRECTORY", PLAN_DIRECTORY)),
            access_directory=Path(environment.get("TUNEWRIGHT_ACCESS_DIRECTORY", ACCESS_DIRECTORY)),
            public_key_path=Path(environment.get("TUNEWRIGHT_PUBLIC_KEY", PUBLIC_KEY_PATH)),
            state_directory=Path(environment.get("TUNEWRIGHT_STATE_DIRECTORY", STATE_DIRECTORY)),
            port=int(environment.get("TUNEWRIGHT_PORT", SERVER_PORT)),
            host=environment.get("TUNEWRIGHT_HOST", "0.0.0.0"),
            pod_uid=environment.get("POD_UID", ""),
        )

    @property
    def base_model_folder(self) -> Path:
        """Return the folder of the verified base model."""
        return self.state_directory / BASE_MODEL_FOLDER

    @property
    def adapters_folder(self) -> Path:
        """Return the folder of the adapters, which have a folder each."""
        return self.state_directory / ADAPTERS_FOLDER

    @property
    def stored_plan_path(self) -> Path:
        """Return the file of the last applied plan, which survives a container restart."""
        return self.state_directory / STORED_PLAN_NAME

    @property
    def stored_access_path(self) -> Path:
        """Return the file of the last applied access list, which survives a container restart."""
        return self.state_directory / STORED_ACCESS_NAME
