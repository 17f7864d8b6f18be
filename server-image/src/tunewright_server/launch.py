"""The command line and environment of vLLM: pure functions of the server's configuration and of the image."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tunewright_contracts.server_config import ServerConfig
from tunewright_contracts.serving_plan import FINISH_SECONDS
from tunewright_server.request_limits import MAX_LOGPROBS, MAX_N, MAX_PROMPTS, MAX_STOP_STRINGS

MIDDLEWARE = "tunewright_server.http.middleware.TunewrightMiddleware"
ACCEPTED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM accepts as ``--max-lora-rank``; an adapter can have any rank up to it."""
OLDEST_VLLM = (0, 25)
"""Older versions can answer with another adapter's weights if one is added meanwhile (vllm-project/vllm#47724)."""
CHAT_TEMPLATE_DEFAULTS = {"enable_thinking": False}
"""The trainer's value; templates without this variable ignore it, and a request's value takes precedence."""
CHAT_TEMPLATE_NAME = "chat-template.jinja"

_REQUEST_LIMITS = (
    "--max-logprobs",
    str(MAX_LOGPROBS),
    # Text only, also for a base model that can process media: vLLM would fetch them from any address.
    "--language-model-only",
    # One compiler, whose work is bounded. By default, vLLM tries others with what this one refuses.
    "--structured-outputs-config",
    json.dumps({"backend": "xgrammar"}),
)
"""What the middleware refuses, vLLM refuses too."""
_LIMITING_ENVIRONMENT = {
    "VLLM_MAX_N_SEQUENCES": str(MAX_N),
    "VLLM_MAX_COMPLETION_PROMPTS": str(MAX_PROMPTS),
    "VLLM_MAX_STOP_STRINGS": str(MAX_STOP_STRINGS),
    "VLLM_REGEX_COMPILATION_TIMEOUT_S": "5",
    "VLLM_XGRAMMAR_CACHE_MB": "128",
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
}
"""The same by variables, which older versions of vLLM ignore."""
_DTYPES = {"Auto": "auto", "BFloat16": "bfloat16", "Float16": "float16", "Float32": "float32"}
_COMMON_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_COLOR": "0",
}
_CPU_ENVIRONMENT = {
    # Run the worker in the engine's process, which saves 0.7 GiB. By default vLLM starts a separate process, because it
    # configures OpenMP by the environment; here the environment is set before the first process starts.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    # Otherwise vLLM binds its threads to the node's first cores, which are the same for all replicas on the node.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Threads that wait for each other must sleep: threads that spin take the cores from other threads and processes.
    "OMP_WAIT_POLICY": "PASSIVE",
}
# All downloads are done, so vLLM needs no access to the Hub. Its runtime update must not be reachable by HTTP.
_REMOVED = ("HF_TOKEN", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_PLUGINS")


class LaunchError(Exception):
    """vLLM cannot be started with this configuration or this image; the message shows why."""


def is_cpu_build(vllm_version: str) -> bool:
    """Return whether the image's vLLM is the CPU build, from its version (``0.32.0+cpu``)."""
    return "cpu" in vllm_version.partition("+")[2]


def check_vllm_version(vllm_version: str) -> None:
    """Reject a vLLM that is too old to be safe.

    Raises:
        LaunchError: it is older than `OLDEST_VLLM`.
    """
    parts = vllm_version.partition("+")[0].split(".")
    try:
        found = (int(parts[0]), int(parts[1]))
    except (ValueError, IndexError) as error:
        raise LaunchError(f"vLLM's version {vllm_version!r} cannot be read; use a released vLLM image") from error
    if found < OLDEST_VLLM:
        raise LaunchError(
            f"vLLM {vllm_version} can answer with the wrong adapter (vllm-project/vllm#47724); build the server image "
            f"with {OLDEST_VLLM[0]}.{OLDEST_VLLM[1]} or newer"
        )


def round_up_rank(max_rank: int) -> int:
    """Return the smallest rank that vLLM accepts and that is at least ``max_rank``.

    Raises:
        LaunchError: there is none.
    """
    for rank in ACCEPTED_RANKS:
        if rank >= max_rank:
            return rank
    raise LaunchError(f"spec.lora.maxRank is {max_rank}, but vLLM accepts at most {ACCEPTED_RANKS[-1]}; lower it")


def build_command(config: ServerConfig, model: Path, host: str, port: int, *, cpu: bool) -> list[str]:
    """Return the command that serves a base model with our middleware.

    Args:
        config: the server's settings.
        model: the verified base model's folder.
        host: the address to listen on.
        port: the port to listen on.
        cpu: whether the image's vLLM is the CPU build.

    Raises:
        LaunchError: vLLM does not accept the rank.
    """
    slots = config.max_adapters + config.rollout_slots
    active = min(config.max_active_adapters, slots)
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(model)]
    command += ["--host", host, "--port", str(port), "--api-server-count", "1"]
    command += ["--served-model-name", config.served_base_name]
    command += ["--dtype", "bfloat16" if cpu and config.dtype == "Auto" else _DTYPES[config.dtype]]
    command += ["--max-model-len", str(config.max_model_length)]
    command += ["--enable-lora", "--max-lora-rank", str(round_up_rank(config.max_rank))]
    # Every registered adapter stays in memory: vLLM's engine crashes if it must reload one whose files are deleted.
    command += ["--max-loras", str(active), "--max-cpu-loras", str(slots)]
    command += ["--middleware", MIDDLEWARE, "--shutdown-timeout", str(FINISH_SECONDS)]
    command += ["--disable-fastapi-docs", "--disable-uvicorn-access-log"]
    command += ["--default-chat-template-kwargs", json.dumps(CHAT_TEMPLATE_DEFAULTS)]
    command += _REQUEST_LIMITS
    if config.base_model.chat_template:
        command += ["--chat-template", str(model.parent / CHAT_TEMPLATE_NAME)]
    if cpu:
        command.append("--enforce-eager")
    return command


def build_environment(environment: Mapping[str, str], *, cpu: bool, cores: int) -> dict[str, str]:
    """Return vLLM's environment: the pod's, with our defaults for variables that the pod does not set.

    Args:
        environment: the pod's environment.
        cpu: whether the image's vLLM is the CPU build.
        cores: how many cores this process can use; the CPU build computes on all but one, which serves HTTP.
    """
    defaults = {**_COMMON_ENVIRONMENT, **_LIMITING_ENVIRONMENT}
    if cpu:
        defaults |= {**_CPU_ENVIRONMENT, "OMP_NUM_THREADS": str(max(1, cores - 1))}
    merged = {**defaults, **environment}
    return {name: value for name, value in merged.items() if name not in _REMOVED}
