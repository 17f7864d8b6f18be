"""The command line and environment of vLLM: pure functions of the server's configuration and what the image has."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tunewright_contracts.server_config import ServerConfig
from tunewright_contracts.serving_plan import FINISH_SECONDS

MIDDLEWARE = "tunewright_server.http.middleware.TunewrightMiddleware"
ACCEPTED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM accepts as ``--max-lora-rank``; an adapter may have any rank up to it."""
OLDEST_VLLM = (0, 25)
"""Before it, adding an adapter while others decode could serve another adapter's weights (vllm-project/vllm#47724)."""
CHAT_TEMPLATE_DEFAULTS = {"enable_thinking": False}
"""As the trainer renders conversations; templates without such a variable ignore it, a request's own value wins."""
CHAT_TEMPLATE_NAME = "chat-template.jinja"

_DTYPES = {"Auto": "auto", "BFloat16": "bfloat16", "Float16": "float16", "Float32": "float32"}
_COMMON_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_COLOR": "0",
}
_CPU_ENVIRONMENT = {
    # The worker in the engine's process, not in one of its own: 0.7 GiB less. vLLM prefers one of its own since it sets
    # OpenMP up through the environment, which here is set before the first process starts.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    # vLLM would bind its threads to the node's first cores, the same ones in every replica on that node.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Threads that wait for each other must sleep: spinning ones starve what shares their cores, and each other.
    "OMP_WAIT_POLICY": "PASSIVE",
}
# Downloads are over; nothing below needs the Hub, and vLLM's runtime update must stay closed to HTTP.
_REMOVED = ("HF_TOKEN", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_PLUGINS")


class LaunchError(Exception):
    """vLLM cannot be started with this configuration or this image; the message shows why."""


def is_cpu_build(vllm_version: str) -> bool:
    """Return whether the image's vLLM is the CPU build, from its version (``0.32.0+cpu``)."""
    return "cpu" in vllm_version.partition("+")[2]


def check_vllm_version(vllm_version: str) -> None:
    """Refuse a vLLM that is too old to be safe.

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
            f"vLLM {vllm_version} can mix adapters up (vllm-project/vllm#47724); build the server image on "
            f"{OLDEST_VLLM[0]}.{OLDEST_VLLM[1]} or newer"
        )


def round_up_rank(max_rank: int) -> int:
    """Return the least rank that vLLM accepts and that holds ``max_rank``.

    Raises:
        LaunchError: there is none.
    """
    for rank in ACCEPTED_RANKS:
        if rank >= max_rank:
            return rank
    raise LaunchError(f"spec.lora.maxRank is {max_rank}, vLLM takes at most {ACCEPTED_RANKS[-1]}")


def build_command(config: ServerConfig, model: Path, host: str, port: int, *, cpu: bool) -> list[str]:
    """Return the argument vector that serves a base model with our middleware.

    Args:
        config: the server's settings.
        model: the verified base model's folder.
        host: the address to listen at.
        port: the port to listen at.
        cpu: whether the image's vLLM is the CPU build.

    Raises:
        LaunchError: vLLM takes no such rank.
    """
    slots = config.max_adapters + config.rollout_slots
    active = min(config.max_active_adapters, slots)
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(model)]
    command += ["--host", host, "--port", str(port), "--api-server-count", "1"]
    command += ["--served-model-name", config.served_base_name]
    command += ["--dtype", "bfloat16" if cpu and config.dtype == "Auto" else _DTYPES[config.dtype]]
    command += ["--max-model-len", str(config.max_model_length)]
    command += ["--enable-lora", "--max-lora-rank", str(round_up_rank(config.max_rank))]
    # Every registered adapter stays in memory: vLLM's engine dies when it must reload one whose files are gone.
    command += ["--max-loras", str(active), "--max-cpu-loras", str(slots)]
    command += ["--middleware", MIDDLEWARE, "--shutdown-timeout", str(FINISH_SECONDS)]
    command += ["--disable-fastapi-docs", "--disable-uvicorn-access-log"]
    command += ["--default-chat-template-kwargs", json.dumps(CHAT_TEMPLATE_DEFAULTS)]
    if config.base_model.chat_template:
        command += ["--chat-template", str(model.parent / CHAT_TEMPLATE_NAME)]
    if cpu:
        command.append("--enforce-eager")
    return command


def build_environment(environment: Mapping[str, str], *, cpu: bool, cores: int) -> dict[str, str]:
    """Return vLLM's environment: the pod's, with our defaults for what the pod does not set.

    Args:
        environment: the pod's.
        cpu: whether the image's vLLM is the CPU build.
        cores: how many cores this process may use; the CPU build computes on all but one, which serves HTTP.
    """
    defaults = dict(_COMMON_ENVIRONMENT)
    if cpu:
        defaults |= {**_CPU_ENVIRONMENT, "OMP_NUM_THREADS": str(max(1, cores - 1))}
    merged = {**defaults, **environment}
    return {name: value for name, value in merged.items() if name not in _REMOVED}
