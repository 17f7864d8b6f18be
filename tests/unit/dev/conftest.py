"""Temporary folders for tests of the development tools."""

from __future__ import annotations

import pytest

from tunewright_dev.paths import Paths


@pytest.fixture
def paths(tmp_path):
    return Paths(
        clone=tmp_path / "clone",
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        run=tmp_path / "run",
        kubeconfig=tmp_path / "clone" / "build" / "kubeconfig",
    )
