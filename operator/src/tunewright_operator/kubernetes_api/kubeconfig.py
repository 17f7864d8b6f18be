"""Credentials from a kubeconfig, by the Kubernetes client: tokens, certificates, exec plugins, OIDC, proxies.

It is imported only here, and only when the operator runs outside of a pod: it has a class for each type of the API.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, Self

from tunewright_operator.kubernetes_api.credentials import CredentialsError, Endpoint, find_proxy

RENEW_SECONDS: Final = 10.0
"""The kubeconfig is read again, and its exec plugin runs again, at most this often."""


class Kubeconfig:
    """The current context of the kubeconfig, which $KUBECONFIG names; `load` creates it."""

    def __init__(self, endpoint: Endpoint, header: str | None, *, now: Callable[[], float] = time.monotonic) -> None:
        self.endpoint = endpoint
        self._header = header
        self._now = now
        self._read_at = now()
        self._renewal = asyncio.Lock()

    @classmethod
    async def load(cls) -> Self:
        """Read the kubeconfig.

        Raises:
            CredentialsError: it cannot be read, or its plugin failed.
        """
        configuration = await _load()
        try:
            endpoint = _build_endpoint(configuration)
        except OSError as error:
            raise CredentialsError(f"the certificates of the kubeconfig cannot be loaded: {error}") from error
        return cls(endpoint, _read_header(configuration))

    def authorization(self) -> str | None:
        """See `Credentials.authorization`."""
        return self._header

    async def renew(self, refused: str | None) -> bool:
        """See `Credentials.renew`.

        Only the token is renewed, as by the Kubernetes client; a new client certificate needs a restart.
        """
        async with self._renewal:
            if self._header == refused and self._now() - self._read_at >= RENEW_SECONDS:
                self._read_at = self._now()
                self._header = _read_header(await _load())
        return self._header != refused


async def _load() -> Any:
    """Return the configuration of the Kubernetes client (kubernetes.aio.client.Configuration)."""
    from kubernetes.aio import client, config  # noqa: PLC0415 - see the module's docstring

    configuration = client.Configuration()
    try:
        await config.load_kube_config(client_configuration=configuration)
    except Exception as error:  # the loaders of the many ways to authenticate raise anything
        raise CredentialsError(f"the kubeconfig cannot be used: {error}") from error
    return configuration


def _read_header(configuration: Any) -> str | None:
    header: str | None = configuration.api_key.get("BearerToken")
    return header


def _build_endpoint(configuration: Any) -> Endpoint:
    url = str(configuration.host)
    tls = None
    if url.startswith("https:"):
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        if not configuration.verify_ssl:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    return Endpoint(url, tls, configuration.tls_server_name, configuration.proxy or find_proxy(url))
