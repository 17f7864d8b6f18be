"""Log lines are JSON, or readable text for a terminal."""

import json

import pytest
import structlog

from support import marked
from tunewright_server import logs


@pytest.fixture(autouse=True)
def restore():
    yield
    structlog.reset_defaults()


def log_an_error() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        structlog.get_logger("test").exception("adapter_failed", name="support--1")


def test_a_line_is_json_with_its_time_level_and_error(monkeypatch, capsys):
    monkeypatch.delenv("TUNEWRIGHT_LOG_FORMAT", raising=False)
    logs.configure()
    log_an_error()
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["name"], line["level"]) == ("adapter_failed", "support--1", "error")
    assert line["timestamp"].endswith("Z")
    assert line["exception"].endswith("ValueError: bad")


def test_a_line_on_a_terminal_is_text(monkeypatch, capsys):
    monkeypatch.setenv("TUNEWRIGHT_LOG_FORMAT", "console")
    logs.configure()
    log_an_error()
    text = capsys.readouterr().out
    assert "adapter_failed" in text
    assert "name=support--1" in text
    assert not text.startswith("{")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_credential_is_logged(monkeypatch, capsys, form):
    monkeypatch.setenv("TUNEWRIGHT_LOG_FORMAT", form)
    marked.plant(monkeypatch)
    logs.configure()
    try:
        raise ValueError(marked.quote_all())
    except ValueError:
        structlog.get_logger("test").exception("adapter_failed", message=marked.quote_all())
    text = capsys.readouterr().out
    assert "adapter_failed" in text
    assert marked.MARK not in text
