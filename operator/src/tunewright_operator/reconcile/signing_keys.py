"""The operator's signing key: made once, kept in a Secret of its own namespace."""

from __future__ import annotations

import base64
from typing import Final

from tunewright_operator.api.kinds import SECRET
from tunewright_operator.api.labels import MANAGED_BY, MANAGED_BY_VALUE
from tunewright_operator.cluster import AlreadyExistsError, Body, Cluster
from tunewright_operator.signing import SigningKey, SigningKeyError

SIGNING_KEY_SECRET: Final = "tunewright-signing-key"  # noqa: S105 - a name
PRIVATE_KEY: Final = "private.pem"


class SigningKeys:
    """Loads the key at its first use, and creates it when there is none."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._key: SigningKey | None = None

    async def find(self) -> SigningKey | None:
        """Return the key, None when there is none yet. Writes nothing.

        Raises:
            SigningKeyError: the Secret holds no usable key. It is not replaced: pods trust the one that it should hold.
            ClusterError: it could not be read.
        """
        if self._key is None:
            self._key = await self._read()
        return self._key

    async def load(self) -> SigningKey:
        """Return the key, a new one when there is none.

        Raises:
            SigningKeyError: the Secret holds no usable key.
            ClusterError: it could be neither read nor created.
        """
        key = await self.find()
        if key is None:
            key = self._key = await self._create()
        return key

    async def _read(self) -> SigningKey | None:
        body = await self._cluster.get(SECRET, self._namespace, SIGNING_KEY_SECRET)
        if body is None:
            return None
        where = f"Secret {self._namespace}/{SIGNING_KEY_SECRET}"
        try:
            return SigningKey.from_pem(base64.b64decode(body["data"][PRIVATE_KEY]))
        except (KeyError, TypeError, ValueError) as error:
            raise SigningKeyError(
                f"{where}: {PRIVATE_KEY} is no usable key ({error}). "
                "Restore it, or delete the Secret to have a new one;"
                " server pods then get the new public key and are replaced."
            ) from error

    async def _create(self) -> SigningKey:
        key = SigningKey.generate()
        body: Body = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.name,
            "metadata": {
                "name": SIGNING_KEY_SECRET,
                "namespace": self._namespace,
                "labels": {MANAGED_BY: MANAGED_BY_VALUE},
            },
            "type": "Opaque",
            "data": {PRIVATE_KEY: base64.b64encode(key.private_pem()).decode()},
        }
        try:
            await self._cluster.create(body)
        except AlreadyExistsError:
            # Another replica was faster: its key is the one.
            found = await self._read()
            if found is None:
                raise
            return found
        return key
