"""Tokens must be signed by the operator, for this server and purpose, and expire soon."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import support.worlds.server_world as world
from tunewright_server.auth import AuthError, OperatorKey

CLAIMS = {"aud": world.SERVER_UID, "scope": "state", "exp": int(time.time()) + 60}


@pytest.fixture
def key(tmp_path):
    (tmp_path / "operator.pub").write_bytes(world.PEM)
    return OperatorKey(tmp_path / "operator.pub")


def test_a_good_token(key):
    claims = key.verify_token(f"Bearer {world.make_token('state')}", world.SERVER_UID, "state")
    assert claims["scope"] == "state"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        f"Basic {world.make_token('state')}",
        f"Bearer {world.make_token('evaluate')}",
        f"Bearer {world.make_token('state', aud='another')}",
        f"Bearer {world.make_token('state', exp=int(time.time()) - 3600)}",
        f"Bearer {world.make_token('state', exp=int(time.time()) + 3600)}",
        f"Bearer {world.make_token('state', key=Ed25519PrivateKey.generate())}",
        f"Bearer {jwt.encode({'aud': world.SERVER_UID, 'scope': 'state'}, world.KEY, algorithm='EdDSA')}",
        f"Bearer {jwt.encode(CLAIMS, None, algorithm='none')}",
        f"Bearer {jwt.encode(CLAIMS, 'x' * 32, algorithm='HS256')}",
    ],
)
def test_bad_tokens(key, header):
    with pytest.raises(AuthError):
        key.verify_token(header, world.SERVER_UID, "state")


def test_a_file_without_a_key(tmp_path):
    (tmp_path / "operator.pub").write_text("no key")
    with pytest.raises(AuthError, match="cannot be read"):
        OperatorKey(tmp_path / "operator.pub").load()
