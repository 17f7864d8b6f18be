"""Check whether a component is healthy."""

from __future__ import annotations

import http.client
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from urllib.error import URLError
from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, build_opener

PROBE_SECONDS = 2.0


@lru_cache(maxsize=8)
def _context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    # Without a CA the certificate is not verified: the daemon listens on loopback and has created it.
    context = ssl.create_default_context(cafile=str(ca)) if ca else ssl._create_unverified_context()  # noqa: SLF001
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def answers(url: str, *, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None) -> bool:
    """Return whether a GET of `url`, without a proxy, gets a 200 within two seconds."""
    handlers: list[BaseHandler] = [ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(HTTPSHandler(context=_context(ca, certificate, key)))
    try:
        with build_opener(*handlers).open(url, timeout=PROBE_SECONDS) as response:
            return bool(response.status == http.client.OK)
    except (URLError, OSError, http.client.HTTPException):
        return False


def listens(path: Path) -> bool:
    """Return whether a server accepts connections on the Unix socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PROBE_SECONDS)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
