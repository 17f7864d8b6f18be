"""All log lines of the process have one format."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tunewright_operator.runtime.logging import configure_logging


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    root, quiet = logging.getLogger(), [logging.getLogger(name) for name in ("kopf", "aiohttp.access")]
    before = root.handlers, root.level, [logger.level for logger in quiet]
    yield
    structlog.reset_defaults()
    root.handlers, root.level = before[0], before[1]
    for logger, level in zip(quiet, before[2], strict=True):
        logger.setLevel(level)


def write_lines() -> None:
    structlog.get_logger("ours").info("job_started", job="tickets")
    logging.getLogger("library").warning("slow %s", "answer")
    try:
        raise ValueError("a bug")
    except ValueError:
        structlog.get_logger("ours").exception("loop_failed")


def test_lines_of_ours_and_of_libraries_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    write_lines()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["level"], line["logger"]) for line in lines] == [
        ("job_started", "info", "ours"),
        ("slow answer", "warning", "library"),
        ("loop_failed", "error", "ours"),
    ]
    assert lines[0]["job"] == "tickets"
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert "ValueError: a bug" in lines[2]["exception"]


def test_lines_on_a_terminal_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console")
    write_lines()
    text = capsys.readouterr().out
    assert "job_started" in text
    assert "ValueError: a bug" in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.splitlines()[0])


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="ERROR")
    write_lines()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["loop_failed"]


@pytest.mark.parametrize("name", ["kopf", "aiohttp.access"])
def test_libraries_that_log_every_event_or_request_log_only_warnings(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level="DEBUG")
    logging.getLogger(name).info("one of many")
    logging.getLogger(name).warning("a problem")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["a problem"]
