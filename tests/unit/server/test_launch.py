"""vLLM starts with safe options and a safe environment."""

import contextlib
import functools
import json

import pytest

from support.worlds.server_world import make_server_config
from tunewright_server import launch

make_config = functools.partial(
    make_server_config, max_rank=16, max_adapters=8, rollout_slots=4, max_active_adapters=8, max_model_length=512
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
def test_ranks_are_rounded_up_to_ranks_of_vllm(tmp_path, rank, accepted):
    assert options(make_config(max_rank=rank), tmp_path)["--max-lora-rank"] == accepted


def test_a_rank_over_the_highest_of_vllm():
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


def test_a_template_that_can_think_is_rendered_without_thinking_as_in_training(tmp_path):
    flags = options(make_config(), tmp_path)
    assert json.loads(flags["--default-chat-template-kwargs"]) == {"enable_thinking": False}


def test_vllm_refuses_what_the_middleware_refuses(tmp_path):
    flags = options(make_config(), tmp_path)
    assert flags["--max-logprobs"] == "20"
    assert flags["--language-model-only"] == ""
    assert json.loads(flags["--structured-outputs-config"]) == {"backend": "xgrammar"}
    environment = launch.build_environment({"VLLM_MAX_N_SEQUENCES": "4"}, cpu=False, cores=4)
    limits = ("N_SEQUENCES", "COMPLETION_PROMPTS", "STOP_STRINGS")
    assert [environment[f"VLLM_MAX_{name}"] for name in limits] == ["4", "32", "4"]


def test_a_chat_template_of_the_base_model(tmp_path):
    flags = options(make_config(chat_template="{{ x }}"), tmp_path)
    assert flags["--chat-template"] == str(tmp_path / launch.CHAT_TEMPLATE_NAME)


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("0.24.0", False),
        ("0.9.1+cpu", False),
        ("dev", False),
        ("0.25.0", True),
        ("0.32.0+cpu", True),
        ("1.0.0", True),
    ],
)
def test_old_versions_are_refused(version, good):
    with contextlib.nullcontext() if good else pytest.raises(launch.LaunchError):
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
