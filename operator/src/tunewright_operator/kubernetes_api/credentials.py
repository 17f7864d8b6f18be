"""Where the API server is and how the operator authenticates: by default, with the service account of its pod.

The protocol is two environment variables and two files ("Accessing the Kubernetes API from a Pod" in the documentation
of Kubernetes). It is read here, and not by the Kubernetes client, whose import takes a second of CPU
(docs/adr/0011-lean-api-client.md). `kubeconfig` uses that client outside of a pod.
"""

from __future__ import annotations

import dataclasses
import os
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOST: Final = "KUBERNETES_SERVICE_HOST"
PORT: Final = "KUBERNETES_SERVICE_PORT"
TOKEN_SECONDS: Final = 60.0
"""How long a token is used before its file is read again: the kubelet replaces it before it expires."""


class CredentialsError(Exception):
    """The credentials cannot be read; the message names the file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """How to connect to the API server.

    ``server_name`` is the name in its certificate, if it is not that of ``url``; ``proxy`` is the URL of an HTTP proxy.
    """

    url: str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    proxy: str | None = None


class Credentials(Protocol):
    """The endpoint, and the current value of the header Authorization."""

    @property
    def endpoint(self) -> Endpoint:
        """How to connect."""

    def authorization(self) -> str | None:
        """Return the value of the header; None if there is none, for example with a client certificate.

        Raises:
            CredentialsError: it cannot be read.
        """

    async def renew(self, refused: str | None) -> bool:
        """Get new credentials after the API server refused ``refused``; return whether the header has changed.

        Raises:
            CredentialsError: they cannot be read.
        """


class ServiceAccount:
    """The credentials that the kubelet mounts into the pod."""

    def __init__(
        self,
        folder: Path = SERVICE_ACCOUNT,
        environment: Mapping[str, str] = os.environ,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the files.

        Raises:
            CredentialsError: a file is missing or cannot be used.
        """
        self._token_file = folder / "token"
        self._now = now
        host = environment[HOST]
        url = f"https://{f'[{host}]' if ':' in host else host}:{environment[PORT]}"
        try:
            tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        except OSError as error:  # ssl.SSLError is an OSError.
            raise CredentialsError(f"{folder / 'ca.crt'}: {error}") from error
        self.endpoint = Endpoint(url, tls, proxy=find_proxy(url))
        self._header, self._read_at = self._read(), now()

    @classmethod
    def is_mounted(cls, folder: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] = os.environ) -> bool:
        """Return whether the process runs in a pod with a service account."""
        return bool(environment.get(HOST)) and bool(environment.get(PORT)) and (folder / "token").is_file()

    def authorization(self) -> str:
        """See `Credentials.authorization`."""
        if self._now() - self._read_at >= TOKEN_SECONDS:
            self._header, self._read_at = self._read(), self._now()
        return self._header

    async def renew(self, refused: str | None) -> bool:
        """See `Credentials.renew`."""
        self._header, self._read_at = self._read(), self._now()
        return self._header != refused

    def _read(self) -> str:
        try:
            token = self._token_file.read_text().strip()
        except OSError as error:
            raise CredentialsError(f"{self._token_file}: {error}") from error
        if not token:
            raise CredentialsError(f"{self._token_file}: the file exists but is empty")
        return f"Bearer {token}"


def find_proxy(url: str) -> str | None:
    """Return the proxy for a URL from the environment (HTTPS_PROXY, NO_PROXY).

    aiohttp would look it up for each request.
    """
    parts = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)
