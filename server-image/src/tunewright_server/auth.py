"""The operator's Ed25519 key signs plans, access lists and tokens (RFC 8032, RFC 7519)."""

from __future__ import annotations

import base64
import binascii
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tunewright_contracts.document import SignedDocument
from tunewright_server.files import Stamp, read_stamp

MAX_TOKEN_SECONDS = 15 * 60
LEEWAY_SECONDS = 30
STATE_SCOPE = "state"
EVALUATE_SCOPE = "evaluate"


class AuthError(Exception):
    """A signature or a token is invalid; the message shows why, but never the token."""


class OperatorKey:
    """The operator's public key in a mounted file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._key: Ed25519PublicKey | None = None

    def load(self) -> Ed25519PublicKey:
        """Return the key.

        Raises:
            AuthError: the file is missing or does not contain an Ed25519 public key in PEM.
        """
        try:
            stamp = read_stamp(self._path)
            if self._key is None or stamp != self._stamp:
                key = load_pem_public_key(self._path.read_bytes())
                if not isinstance(key, Ed25519PublicKey):
                    raise AuthError(f"{self._path} is not an Ed25519 key; mount the operator's public key there")
                self._key, self._stamp = key, stamp
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise AuthError(f"the operator's public key cannot be read from {self._path}: {error}") from error
        return self._key

    def verify(self, signed: SignedDocument, name: str) -> bytes:
        """Return a document's signed bytes.

        Args:
            signed: the document.
            name: its kind, for messages.

        Raises:
            AuthError: they are not base64, or the signature is not the operator's.
        """
        try:
            payload = signed.payload_bytes()
            self.load().verify(base64.b64decode(signed.signature, validate=True), payload)
        except (binascii.Error, ValueError) as error:
            raise AuthError(f"the {name}'s payload or signature is not base64") from error
        except InvalidSignature as error:
            raise AuthError(f"the {name} is not signed by the key in {self._path}") from error
        return payload

    def verify_token(self, header: str | None, audience: str, scope: str) -> dict[str, Any]:
        """Return a bearer token's claims.

        Args:
            header: the ``Authorization`` header.
            audience: the ModelServer's UID.
            scope: the scope that the token must have.

        Raises:
            AuthError: it is missing, forged, expired, for another server or scope, or valid for more than 15 minutes.
        """
        kind, _, token = (header or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise AuthError("send Authorization: Bearer <token signed by the operator>")
        try:
            claims: dict[str, Any] = jwt.decode(
                token.strip(),
                self.load(),
                algorithms=["EdDSA"],
                audience=audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise AuthError(f"the token is invalid: {error}") from error
        if claims["exp"] > time.time() + MAX_TOKEN_SECONDS + LEEWAY_SECONDS:
            raise AuthError(f"the token is valid for more than {MAX_TOKEN_SECONDS // 60} minutes, which is the limit")
        if claims.get("scope") != scope:
            raise AuthError(f"the token's scope is not {scope!r}")
        return claims
