"""Structured log lines on standard output: JSON, or plain text if TUNEWRIGHT_LOG_FORMAT is ``console``."""

from __future__ import annotations

import os

import structlog

from tunewright_storage.redaction import redact_line


def configure() -> None:
    """Configure structlog for this process."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if os.environ.get("TUNEWRIGHT_LOG_FORMAT") == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
            redact_line,
        ],
        cache_logger_on_first_use=True,
    )
