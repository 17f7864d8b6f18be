"""Remove credentials from text before it leaves the process: messages, log lines and tracebacks.

Libraries quote headers, URLs and arguments in their errors, so a credential can be in any text that comes from them.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
import traceback
import urllib.parse
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tunewright_contracts.clients.client_key import SECRET_IN_TEXT

MASK = "***"
_SECRET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN")
_ADDRESS_KEYS = ("AWS_ENDPOINT_URL_S3", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_SHORTEST_SECRET = 8
"""A shorter value may be a common word, which would be removed from all messages."""
_PATTERNS = (
    # user:password@ in a URL
    (re.compile(r"(?<=://)[^/\s@\"'<>\\]{3,}(?=@)"), MASK),
    (re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{20,}"), MASK),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
    (re.compile(r"(?<=AWS4-HMAC-SHA256 )[^\"'\\\n]+"), MASK),
    # signed URLs of S3, and of the CDN of the Hugging Face Hub
    (
        re.compile(r"(?i)(?<=[?&])(X-Amz-(?:Credential|Signature|Security-Token)|Signature|Policy)=[^\s&\"'\\<>]{3,}"),
        rf"\1={MASK}",
    ),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), MASK),
    # A client's key, but not its public id.
    (SECRET_IN_TEXT, MASK),
    # JSON Web Tokens (RFC 7519)
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]+(?:\.[\w-]*)?"), MASK),
)
"""The replacement is never longer than what it replaces, so that a bounded text stays within its bound."""


def redact(text: str) -> str:
    """Return a text without the credentials of this process's environment and of other known forms."""
    for value in _find_secrets(tuple(os.environ.get(key, "") for key in (*_SECRET_KEYS, *_ADDRESS_KEYS))):
        text = text.replace(value, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_line(_logger: Any, _method: str, line: Any) -> Any:
    """Redact a rendered log line: the last processor of structlog."""
    return redact(line) if isinstance(line, str) else line


def install() -> None:
    """Redact the logs of all libraries in this process, and the traceback of an exception that ends it."""
    if getattr(logging.getLogRecordFactory(), "redacts", False):
        return
    make_record = logging.getLogRecordFactory()
    formatter = logging.Formatter()

    def make_redacted_record(*arguments: Any, **fields: Any) -> logging.LogRecord:
        record = make_record(*arguments, **fields)
        if isinstance(record.msg, str):  # structlog passes a dict to its formatter
            record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            # A formatter uses this text if it is there.
            record.exc_text = redact(formatter.formatException(record.exc_info))
        return record

    make_redacted_record.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_redacted_record)
    sys.excepthook = _print_redacted


def _print_redacted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


@functools.lru_cache(maxsize=4)
def _find_secrets(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return each credential plainly, in URLs, and as JSON and Python's repr write it, the longest first.

    ``values`` are those of the secret keys and the address keys, in this order. Every log line is redacted, so the
    forms are computed once. A log line in JSON can quote an error that quotes a value: it is escaped twice.
    """
    secrets = [value.strip() for value in values[: len(_SECRET_KEYS)]]
    for address in values[len(_SECRET_KEYS) :]:
        userinfo = _userinfo(address)
        secrets += [userinfo, userinfo.partition(":")[2]]
    found: set[str] = set()
    for value in secrets:
        if len(value) >= _SHORTEST_SECRET:
            forms = {value, urllib.parse.quote(value, safe="")}
            for _ in range(2):
                forms |= {escaped for form in forms for escaped in _escape(form)}
            found |= forms
    return tuple(sorted(found, key=len, reverse=True))


def _escape(text: str) -> Iterator[str]:
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]


def _userinfo(address: str) -> str:
    try:
        return urllib.parse.urlsplit(address).netloc.rpartition("@")[0]
    except ValueError:
        return ""
