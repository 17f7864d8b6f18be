"""The operator's signing key: generated once and stored in a Secret in the operator's namespace."""

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
    """Reads the key at its first use, and creates it when there is none."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._key: SigningKey | None = None

    async def find(self) -> SigningKey | None:
        """Return the key, or None when there is none yet; write nothing.

        Raises:
            SigningKeyError: the Secret has no usable key. It is not replaced, since running pods trust the old key.
            ClusterError: the Secret could not be read.
        """
        if self._key is None:
            self._key = await self._read()
        return self._key

    async def load(self) -> SigningKey:
        """Return the key; create it when there is none.

        Raises:
            SigningKeyError: the Secret has no usable key.
            ClusterError: the Secret could not be read or created.
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
                f"{where}: {PRIVATE_KEY} is not a usable key ({error}). "
                "Restore it, or delete the Secret to generate a new key; "
                "server pods are then replaced and get the new public key."
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
            # Another replica created the key first.
            found = await self._read()
            if found is None:
                raise
            return found
        return key
