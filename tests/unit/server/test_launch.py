"""vLLM is started with what keeps it safe."""

import errno
import json

import pytest

from tunewright_contracts.locations import BaseModelSource
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.server_config import ServerConfig
from tunewright_server import __main__ as entry
from tunewright_server import launch
from tunewright_storage.errors import StorageError, StorageReason


def make_config(**changes) -> ServerConfig:
    source = {"name": "tiny", "digest": "sha256:" + "b" * 64, "context_length": 64}
    source["chat_template"] = changes.pop("chat_template", "")
    fields = {"max_rank": 16, "max_adapters": 8, "rollout_slots": 4, "max_active_adapters": 8, "max_model_length": 512}
    return ServerConfig(
        server_uid="u",
        namespace="serving",
        name="pool",
        base_model=BaseModelSource(**source),
        served_base_name="tiny-base",
        **{**fields, **changes},
    )


def options(config, tmp_path, *, cpu=True) -> dict[str, str]:
    command = launch.build_command(config, tmp_path / "base-model", "0.0.0.0", 8000, cpu=cpu)
    assert command[1:4] == ["-m", "vllm.entrypoints.cli.main", "serve"]
    pairs = {}
    for flag, value in zip(command, [*command[1:], "--"], strict=True):
        if flag.startswith("--"):
            pairs[flag] = "" if value.startswith("--") else value
    return pairs


def test_every_registered_adapter_has_a_slot(tmp_path):
    flags = options(make_config(), tmp_path)
    assert (flags["--max-cpu-loras"], flags["--max-loras"]) == ("12", "8")
    flags = options(make_config(max_adapters=2, rollout_slots=1), tmp_path)
    assert (flags["--max-cpu-loras"], flags["--max-loras"]) == ("3", "3")


def test_the_middleware_and_one_api_server(tmp_path):
    flags = options(make_config(), tmp_path)
    assert flags["--middleware"] == "tunewright_server.http.middleware.TunewrightMiddleware"
    assert flags["--api-server-count"] == "1"
    assert flags["--served-model-name"] == "tiny-base"
    assert "--trust-remote-code" not in flags


@pytest.mark.parametrize(("rank", "accepted"), [(1, "1"), (2, "8"), (16, "16"), (17, "32"), (300, "320")])
def test_ranks_are_rounded_up_to_what_vllm_takes(tmp_path, rank, accepted):
    assert options(make_config(max_rank=rank), tmp_path)["--max-lora-rank"] == accepted


def test_a_rank_that_vllm_does_not_take():
    with pytest.raises(launch.LaunchError, match="512"):
        launch.round_up_rank(513)


def test_cpu_and_gpu(tmp_path):
    assert options(make_config(), tmp_path)["--dtype"] == "bfloat16"
    assert "--enforce-eager" in options(make_config(), tmp_path)
    gpu = options(make_config(), tmp_path, cpu=False)
    assert gpu["--dtype"] == "auto"
    assert "--enforce-eager" not in gpu
    assert launch.is_cpu_build("0.32.0+cpu")
    assert not launch.is_cpu_build("0.32.0")


def test_a_template_that_can_think_is_rendered_as_in_training(tmp_path):
    flags = options(make_config(), tmp_path)
    assert json.loads(flags["--default-chat-template-kwargs"]) == {"enable_thinking": False}


def test_a_chat_template_of_the_base_model(tmp_path):
    flags = options(make_config(chat_template="{{ x }}"), tmp_path)
    assert flags["--chat-template"] == str(tmp_path / launch.CHAT_TEMPLATE_NAME)


@pytest.mark.parametrize("version", ["0.24.0", "0.9.1+cpu", "dev"])
def test_old_versions_are_refused(version):
    with pytest.raises(launch.LaunchError):
        launch.check_vllm_version(version)


def test_good_versions():
    for version in ("0.25.0", "0.32.0+cpu", "1.0.0"):
        launch.check_vllm_version(version)


def test_the_environment():
    given = {"HF_TOKEN": "secret", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_CPU_KVCACHE_SPACE": "4", "A": "b"}
    environment = launch.build_environment(given, cpu=True, cores=4)
    assert "HF_TOKEN" not in environment
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in environment
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["A"] == "b"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert launch.build_environment({}, cpu=True, cores=1)["OMP_NUM_THREADS"] == "1"
    assert "OMP_WAIT_POLICY" not in launch.build_environment({}, cpu=False, cores=4)


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """Run `main` outside a pod; return what it was told to become."""
    config = tmp_path / "server.json"
    config.write_text(make_config(chat_template="{{ x }}").to_json())
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


def test_main_says_why_it_failed(pod, monkeypatch):
    def fail(*_):
        raise StorageError(StorageReason.DIGEST_MISMATCH, "somebody changed the files")

    monkeypatch.setattr(entry, "fetch_base_model", fail)
    with pytest.raises(SystemExit):
        entry.main()
    result = PhaseResult.from_json((pod / "termination-log").read_text())
    assert (result.outcome, result.reason) == ("Failed", "DigestMismatch")
    assert "changed" in result.message


def test_main_calls_a_full_disk_by_its_name(pod, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(entry, "fetch_base_model", fail)
    with pytest.raises(SystemExit):
        entry.main()
    result = PhaseResult.from_json((pod / "termination-log").read_text())
    assert (result.outcome, result.reason) == ("Retryable", "DiskFull")
    assert "ephemeral-storage" in result.message


def test_main_waits_for_a_store_that_is_away(pod, monkeypatch):
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
