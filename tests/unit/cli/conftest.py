"""A world for the commands of the plugin."""

import pytest

from support.worlds.cli_world import CliWorld


@pytest.fixture
def world():
    return CliWorld()
