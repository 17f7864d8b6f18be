"""A server pod verifies what the operator signs: both sides in one test."""

from __future__ import annotations

import datetime as dt

import jwt
import pytest

from support.worlds.rollout_world import make_server
from tunewright_contracts.serving_plan import ServingPlan, SignedPlan
from tunewright_operator.domain.serving.plan import build_plan
from tunewright_operator.signing import MAX_TOKEN_LIFETIME, SigningKey
from tunewright_server.auth import AuthError, OperatorKey


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def pod_key(key, tmp_path) -> OperatorKey:
    path = tmp_path / "operator.pub"
    path.write_text(key.public_pem())
    return OperatorKey(path)


def test_a_pod_accepts_the_operators_plan_and_no_other(key, pod_key):
    plan = build_plan(make_server(), [], None, []).plan
    signed = key.sign(plan, SignedPlan)
    assert ServingPlan.from_json(signed.payload_bytes()) == plan
    assert pod_key.verify(signed, "plan") == signed.payload_bytes()
    assert key.sign(plan, SignedPlan) == signed, "the same plan gives the same bytes"
    with pytest.raises(AuthError):
        pod_key.verify(SigningKey.generate().sign(plan, SignedPlan), "plan")
    other = build_plan(make_server(uid="other"), [], None, []).plan
    with pytest.raises(AuthError):
        pod_key.verify(signed.model_copy(update={"payload": key.sign(other, SignedPlan).payload}), "plan")


def test_a_pod_accepts_only_tokens_for_its_server_and_within_their_scope(key, pod_key):
    now = dt.datetime.now(dt.UTC)
    state = key.issue_state_token("server-uid", now)
    assert pod_key.verify_token(f"Bearer {state}", "server-uid", "state")["scope"] == "state"
    evaluate = key.issue_evaluation_token("server-uid", ["support--2", "base-model"], now)
    claims = pod_key.verify_token(f"Bearer {evaluate}", "server-uid", "evaluate")
    assert claims["revisions"] == ["base-model", "support--2"]
    for token, audience, scope in [
        (state, "other", "state"),
        (state, "server-uid", "evaluate"),
        (evaluate, "server-uid", "state"),
    ]:
        with pytest.raises(AuthError):
            pod_key.verify_token(f"Bearer {token}", audience, scope)
    old = key.issue_evaluation_token("server-uid", ["support--2"], now - dt.timedelta(hours=1))
    with pytest.raises(AuthError):
        pod_key.verify_token(f"Bearer {old}", "server-uid", "evaluate")


def test_a_token_lives_at_most_15_minutes(key):
    claims = jwt.decode(
        key.issue_evaluation_token("u", ["r"], dt.datetime.now(dt.UTC)), options={"verify_signature": False}
    )
    assert claims["exp"] - claims["iat"] == MAX_TOKEN_LIFETIME.total_seconds() <= 900
