"""``python -m tunewright_server``: fetch and verify the base model, then run vLLM with our middleware."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import structlog

from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.server_config import ServerConfig
from tunewright_server import launch, logs
from tunewright_server.settings import Settings
from tunewright_storage import redaction
from tunewright_storage.base_model import fetch_base_model
from tunewright_storage.disk_space import is_disk_full
from tunewright_storage.errors import StorageError
from tunewright_storage.object_store import ObjectStore

log = structlog.get_logger(__name__)

TERMINATION_LOG = Path("/dev/termination-log")
_FIRST_WAIT_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 30.0
_GIVE_UP_SECONDS = 600.0


def main() -> NoReturn:
    """Run the server; on failure the termination message shows what was wrong and what to do."""
    logs.configure()
    redaction.install()
    # The kernel ignores SIGTERM for a container's first process if it has no handler, as during the download.
    signal.signal(signal.SIGTERM, _leave)
    settings = Settings.from_environment()
    try:
        config = ServerConfig.from_json(settings.config_path.read_bytes())
        version = importlib.metadata.version("vllm")
        launch.check_vllm_version(version)
        cpu = launch.is_cpu_build(version)
        fetch_patiently(config, settings.base_model_folder)
        if config.base_model.chat_template:
            template = settings.state_directory / launch.CHAT_TEMPLATE_NAME
            template.write_text(config.base_model.chat_template)
        command = launch.build_command(config, settings.base_model_folder, settings.host, settings.port, cpu=cpu)
    except StorageError as error:
        _fail(Outcome.RETRYABLE if error.retryable else Outcome.FAILED, error.reason.value, str(error))
    except importlib.metadata.PackageNotFoundError:
        _fail(Outcome.FAILED, "NoInferenceServer", "this image has no vLLM; build it from server-image/Containerfile")
    except OSError as error:
        if not is_disk_full(error):
            _fail(Outcome.FAILED, "InvalidServerConfig", str(error))
        advice = "free the node's disk, or raise ephemeral-storage in the ModelServer's spec.resources"
        _fail(Outcome.RETRYABLE, "DiskFull", f"no room for the base model: {error}; {advice}")
    except (ContractError, launch.LaunchError) as error:
        _fail(Outcome.FAILED, "InvalidServerConfig", str(error))
    log.info("vllm_starting", version=version, cpu=cpu, command=" ".join(command[1:]))
    sys.stdout.flush()
    environment = launch.build_environment(os.environ, cpu=cpu, cores=len(os.sched_getaffinity(0)))
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted


def fetch_patiently(config: ServerConfig, folder: Path) -> None:
    """Fetch and verify the base model; retry for up to ten minutes while the object store does not answer.

    Raises:
        StorageError: the model cannot be fetched, or its files differ.
    """
    source = config.base_model
    started = time.monotonic()
    wait = _FIRST_WAIT_SECONDS
    log.info("base_model_fetching", name=source.name, digest=source.digest)
    while True:
        try:
            fetch_base_model(source, folder, ObjectStore.from_environment())
        except StorageError as error:
            if not error.retryable or time.monotonic() - started > _GIVE_UP_SECONDS:
                raise
            log.warning("base_model_fetch_failed", reason=error.reason.value, message=str(error), retry_seconds=wait)
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
        else:
            log.info("base_model_ready", seconds=round(time.monotonic() - started, 1))
            return


def _fail(outcome: Outcome, reason: str, message: str) -> NoReturn:
    log.error("server_failed", reason=reason, message=message)
    result = PhaseResult(outcome=outcome, reason=reason, message=redaction.redact(message))
    try:
        TERMINATION_LOG.write_text(result.to_termination_message())
    except OSError:
        log.warning("termination_message_not_written", path=str(TERMINATION_LOG))
    sys.exit(1)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
