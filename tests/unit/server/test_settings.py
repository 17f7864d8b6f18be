"""A pod's files are at the contracts' paths, unless the environment overrides them."""

from pathlib import Path

from tunewright_contracts.clients.access_list import ACCESS_DIRECTORY
from tunewright_contracts.server_config import SERVER_CONFIG_PATH, STATE_DIRECTORY
from tunewright_contracts.serving_plan import PLAN_DIRECTORY, PUBLIC_KEY_PATH, SERVER_PORT
from tunewright_server.settings import Settings


def test_in_a_pod():
    assert Settings.from_environment({"POD_UID": "pod-1"}) == Settings(
        config_path=Path(SERVER_CONFIG_PATH),
        plan_directory=Path(PLAN_DIRECTORY),
        access_directory=Path(ACCESS_DIRECTORY),
        public_key_path=Path(PUBLIC_KEY_PATH),
        state_directory=Path(STATE_DIRECTORY),
        port=SERVER_PORT,
        host="0.0.0.0",
        pod_uid="pod-1",
    )


def test_outside_a_pod():
    overrides = {
        "TUNEWRIGHT_SERVER_CONFIG": "/x/server.json",
        "TUNEWRIGHT_PLAN_DIRECTORY": "/x/plan",
        "TUNEWRIGHT_ACCESS_DIRECTORY": "/x/access",
        "TUNEWRIGHT_PUBLIC_KEY": "/x/key.pub",
        "TUNEWRIGHT_STATE_DIRECTORY": "/x/state",
        "TUNEWRIGHT_PORT": "8123",
        "TUNEWRIGHT_HOST": "127.0.0.1",
    }
    assert Settings.from_environment(overrides) == Settings(
        config_path=Path("/x/server.json"),
        plan_directory=Path("/x/plan"),
        access_directory=Path("/x/access"),
        public_key_path=Path("/x/key.pub"),
        state_directory=Path("/x/state"),
        port=8123,
        host="127.0.0.1",
        pod_uid="",
    )


def test_files_that_the_pod_writes_are_in_its_state_directory():
    settings = Settings.from_environment({"TUNEWRIGHT_STATE_DIRECTORY": "/x"})
    paths = (
        settings.base_model_folder,
        settings.adapters_folder,
        settings.stored_plan_path,
        settings.stored_access_path,
    )
    assert [str(path) for path in paths] == ["/x/base-model", "/x/adapters", "/x/plan.json", "/x/access.json"]
