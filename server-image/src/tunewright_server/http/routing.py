"""Which revision answers a request: pure functions of the route, the sticky key and the loaded adapters.

The arm is chosen by weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by Schindelhauer and Schomaker
2005): each target draws a number from a hash of (salt, key, target), and the highest weighted draw wins. So all
replicas choose the same arm without communication, and the order of targets does not matter. A higher weight of the
candidate moves keys only to the candidate: a conversation does not move back and forth during a rollout.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tunewright_contracts.serving_plan import BUCKETS, Route, StickyKey, Target

_ARM = b"tunewright-arm"
_BUCKET = b"tunewright-bkt"
_MAX_SALT_BYTES = 64


def find_sticky_key(
    sticky_by: Collection[StickyKey], header: Callable[[str], str | None], body: Mapping[str, Any]
) -> bytes | None:
    """Return the bytes of the first sticky key that the request has, or None.

    Args:
        sticky_by: where to look, in order.
        header: returns a header's value by lower-case name, or None.
        body: the decoded request; only a string or an integer at its top level is a key.
    """
    for source in sticky_by:
        if source.header:
            value: object = header(source.header.lower())
        elif source.body_field:
            value = body.get(source.body_field)
        else:
            continue
        if isinstance(value, str) and value:
            return value.encode()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value).encode()
    return None


def make_own_key() -> bytes:
    """Return a random key for a request without a sticky key, which makes it a session of one request."""
    return secrets.token_bytes(16)


def choose_target(route: Route, key: bytes, is_loaded: Callable[[str], bool]) -> str | None:
    """Return the revision that answers, or None if no allowed one is loaded (503, never the base model).

    The route's fallback gets the share of a target that is not loaded in this pod. A candidate never gets more than its
    share, even if the incumbent is not loaded, because it is not proven yet. A target of weight 0 gets no requests.
    """
    weighted = [target for target in route.targets if target.weight > 0]
    if not weighted:
        return None
    best = min(weighted, key=lambda target: (-_score(target, route.salt, key), target.name)).name
    if is_loaded(best):
        return best
    admitted = any(target.name == route.fallback for target in weighted)
    return route.fallback if admitted and is_loaded(route.fallback) else None


def bucket_of(key: bytes) -> int:
    """Return a key's bucket, 0 to 63: it is independent of the arm, so that both arms can be compared by bucket."""
    return hashlib.blake2b(key, digest_size=2, person=_BUCKET).digest()[0] % BUCKETS


def _score(target: Target, salt: str, key: bytes) -> float:
    hasher = hashlib.blake2b(target.name.encode(), digest_size=8, key=salt.encode()[:_MAX_SALT_BYTES], person=_ARM)
    hasher.update(b"\0")
    hasher.update(key)
    draw = (int.from_bytes(hasher.digest(), "big") + 0.5) / 2.0**64
    # -ln(u) is exponential with mean 1. Each is divided by the target's weight; the probability that a target has the
    # smallest of them is proportional to its weight.
    return -(-math.log(draw) / target.weight)
