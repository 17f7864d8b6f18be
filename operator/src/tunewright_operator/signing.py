"""The operator's Ed25519 key, which signs plans, access lists and short-lived tokens for other calls to server pods.

Pods have only the public key. They accept a plan or a list by its signature (RFC 8032). Every other call carries a
JSON Web Token (RFC 7519, algorithm EdDSA of RFC 8037) whose audience is the ModelServer's UID.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tunewright_contracts.document import Document, SignedDocument

Signed = TypeVar("Signed", bound=SignedDocument)

ALGORITHM = "EdDSA"
MAX_TOKEN_LIFETIME = dt.timedelta(minutes=15)
STATE_TOKEN_LIFETIME = dt.timedelta(minutes=5)


class Scope(StrEnum):
    """What a token allows."""

    STATE = "state"
    """Read a pod's state."""
    EVALUATE = "evaluate"
    """Send requests to the named revisions; they are not counted as live requests."""


class SigningKeyError(ValueError):
    """A stored key cannot be used; the message explains why."""


@dataclasses.dataclass(frozen=True)
class SigningKey:
    """An Ed25519 private key; only `private_pem` returns the key itself."""

    _key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        """Return a new random key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Read an unencrypted PKCS#8 key.

        Raises:
            SigningKeyError: it is not a PEM file or not an Ed25519 key.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise SigningKeyError(f"not an unencrypted PEM private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"not an Ed25519 key but a {type(key).__name__}")
        return cls(key)

    def private_pem(self) -> bytes:
        """Return the key as PKCS#8 PEM."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_pem(self) -> str:
        """Return the public key as SubjectPublicKeyInfo PEM."""
        public = self._key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, document: Document, kind: type[Signed]) -> Signed:
        """Return a document's bytes with their signature; the same document always gives the same bytes."""
        payload = document.to_json().encode()
        return kind(
            payload=base64.b64encode(payload).decode(), signature=base64.b64encode(self._key.sign(payload)).decode()
        )

    def has_signed(self, signed: SignedDocument) -> bool:
        """Return whether this key made the signature of a document: Ed25519 signatures are deterministic (RFC 8032)."""
        signature = self._key.sign(base64.b64decode(signed.payload))
        return signed.signature == base64.b64encode(signature).decode()

    def issue_state_token(self, server_uid: str, now: dt.datetime) -> str:
        """Return a token that allows reading the state of the server's pods."""
        return self._issue(server_uid, Scope.STATE, now, STATE_TOKEN_LIFETIME, {})

    def issue_evaluation_token(self, server_uid: str, revisions: Iterable[str], now: dt.datetime) -> str:
        """Return a token that allows requests to these revisions (or `BASE_MODEL_TARGET`) for `MAX_TOKEN_LIFETIME`."""
        claims = {"revisions": sorted(revisions)}
        return self._issue(server_uid, Scope.EVALUATE, now, MAX_TOKEN_LIFETIME, claims)

    def _issue(
        self, audience: str, scope: Scope, now: dt.datetime, lifetime: dt.timedelta, extra: dict[str, Any]
    ) -> str:
        claims = {"aud": audience, "scope": scope.value, "iat": now, "exp": now + lifetime, **extra}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)
