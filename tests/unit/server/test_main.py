"""The process fetches the base model and then becomes vLLM. After a failure, the termination message shows why."""

import errno
import json

import pytest

from support import marked
from support.worlds.server_world import make_server_config
from tunewright_contracts.phase_result import PhaseResult
from tunewright_server import __main__ as entry
from tunewright_server import launch
from tunewright_storage.errors import StorageError, StorageReason


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """Prepare the files and the environment of `main` outside a pod."""
    config = tmp_path / "server.json"
    config.write_text(make_server_config(chat_template="{{ x }}").to_json())
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("TUNEWRIGHT_SERVER_CONFIG", str(config))
    monkeypatch.setenv("TUNEWRIGHT_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(entry, "TERMINATION_LOG", tmp_path / "termination-log")
    monkeypatch.setattr(entry.signal, "signal", lambda *_: None)
    monkeypatch.setattr(entry.importlib.metadata, "version", lambda _: "0.32.0+cpu")
    monkeypatch.setattr(entry.ObjectStore, "from_environment", lambda: None)
    monkeypatch.setattr(entry.time, "sleep", lambda _: None)
    return tmp_path


def test_main_becomes_vllm(pod, monkeypatch):
    became = []
    monkeypatch.setattr(entry, "fetch_base_model", lambda *_: None)
    monkeypatch.setattr(entry.os, "execve", lambda *arguments: became.append(arguments))
    entry.main()
    assert became[0][1][4] == str(pod / "state" / "base-model")
    assert (pod / "state" / launch.CHAT_TEMPLATE_NAME).read_text() == "{{ x }}"


@pytest.mark.parametrize(
    ("error", "outcome", "reason", "words"),
    [
        (StorageError(StorageReason.DIGEST_MISMATCH, "the files were changed"), "Failed", "DigestMismatch", "changed"),
        (StorageError(StorageReason.OTHER, "500"), "Retryable", "StorageError", "500"),
        (OSError(errno.ENOSPC, "No space left on device"), "Retryable", "DiskFull", "ephemeral-storage"),
        (OSError(errno.EACCES, "Permission denied"), "Failed", "InvalidServerConfig", "denied"),
    ],
)
def test_main_reports_why_it_failed(pod, monkeypatch, error, outcome, reason, words):
    def fail(*_):
        raise error

    monkeypatch.setattr(entry, "fetch_base_model", fail)
    monkeypatch.setattr(entry, "_GIVE_UP_SECONDS", 0.0)
    with pytest.raises(SystemExit):
        entry.main()
    result = PhaseResult.from_json((pod / "termination-log").read_text())
    assert (result.outcome, result.reason) == (outcome, reason)
    assert words in result.message


def test_main_refuses_an_image_without_vllm(pod, monkeypatch):
    def missing(name):
        raise entry.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(entry.importlib.metadata, "version", missing)
    with pytest.raises(SystemExit):
        entry.main()
    assert "NoInferenceServer" in (pod / "termination-log").read_text()


def test_main_waits_for_a_store_that_is_unavailable(pod, monkeypatch):
    failures = [StorageError(StorageReason.UNREACHABLE, "away")] * 3
    became = []

    def fetch(*_):
        if failures:
            raise failures.pop()

    monkeypatch.setattr(entry, "fetch_base_model", fetch)
    monkeypatch.setattr(entry.os, "execve", lambda *arguments: became.append(arguments))
    entry.main()
    assert became


def test_main_refuses_a_configuration_that_cannot_be_read(pod):
    (pod / "server.json").write_text(json.dumps({"schemaVersion": 1}))
    with pytest.raises(SystemExit):
        entry.main()
    assert "InvalidServerConfig" in (pod / "termination-log").read_text()


@pytest.mark.parametrize("error", [OSError, lambda text: StorageError(StorageReason.OTHER, text)])
def test_no_credential_is_written(pod, monkeypatch, capfd, error):
    marked.plant(monkeypatch)

    def fail(*_):
        raise error(marked.quote_all())

    monkeypatch.setattr(entry, "fetch_base_model", fail)
    monkeypatch.setattr(entry, "_GIVE_UP_SECONDS", 0.0)
    with pytest.raises(SystemExit):
        entry.main()
    written = "".join([*capfd.readouterr(), (pod / "termination-log").read_text()])
    assert marked.MARK not in written
