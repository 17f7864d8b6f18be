"""A phase finds its inputs at the paths of a pod, unless the environment overrides them."""

import dataclasses
from pathlib import Path

from tunewright_trainer.process.settings import Settings


def test_the_default_paths_of_a_pod():
    settings = Settings.from_environment({"POD_UID": "0a1b2c3d"})
    assert settings == Settings(
        run_spec=Path("/etc/tunewright/run.json"),
        document_key=Path("/etc/tunewright/document-key/key"),
        termination_log=Path("/dev/termination-log"),
        sources_root=Path("/etc/tunewright/sources"),
        work=Path("/tmp/tunewright"),
        progress_port=8787,
        pod_uid="0a1b2c3d",
        patience_seconds=None,
    )


def test_every_setting_can_be_overridden():
    environment = {
        "TUNEWRIGHT_RUN_SPEC": "/a/run.json",
        "TUNEWRIGHT_DOCUMENT_KEY": "/a/key",
        "TUNEWRIGHT_TERMINATION_LOG": "/a/log",
        "TUNEWRIGHT_SOURCES_ROOT": "/a/sources",
        "TUNEWRIGHT_WORK": "/a/work",
        "TUNEWRIGHT_PROGRESS_PORT": "0",
        "TUNEWRIGHT_STORAGE_PATIENCE_SECONDS": "2.5",
        "POD_UID": "uid",
    }
    settings = Settings.from_environment(environment)
    assert [str(value) for value in dataclasses.astuple(settings)] == [
        "/a/run.json",
        "/a/key",
        "/a/log",
        "/a/sources",
        "/a/work",
        "0",
        "uid",
        "2.5",
    ]


def test_zero_seconds_of_retries_are_not_replaced_by_the_default():
    assert Settings.from_environment({"TUNEWRIGHT_STORAGE_PATIENCE_SECONDS": "0"}).patience_seconds == 0


def test_outside_a_pod_each_process_has_another_identity():
    one, other = Settings.from_environment({}), Settings.from_environment({})
    assert one.pod_uid != other.pod_uid
