"""Packs ``tunewright_contracts`` with the plugin, so that an installation needs no package index of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "tunewright_contracts"


class ContractsHook(BuildHookInterface[Any]):
    """Includes the contracts of this repository, or, when a wheel is built from an sdist, those in the sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder of the contracts to what is packed; ``version`` is the kind of build."""
        del version
        root = Path(self.root)
        source = next(path for path in (root / PACKAGE, root.parent / "contracts" / "src" / PACKAGE) if path.is_dir())
        build_data["force_include"][str(source)] = PACKAGE
