"""The checks of a Secret and of a BaseModel that a spec refers to."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.resource import NameReference, Storage
from tunewright_operator.domain.references import check_account, check_base_model, check_secret, check_storage
from tunewright_operator.domain.secrets import ABSENT, StorageFacts, UseFacts

READY = {"type": "Ready", "status": "True", "reason": "Inspected", "lastTransitionTime": "2026-01-01T00:00:00Z"}
FAILED = {**READY, "status": "False", "reason": "NoSuchBucket", "message": "bucket models does not exist"}
STALLED = {**READY, "type": "Stalled"}


def make_model(*conditions: dict[str, str], digest: str = "sha256:1", **spec: Any) -> BaseModel:
    return BaseModel.from_body(
        {
            "metadata": {"name": "smol"},
            "spec": {"source": {"s3": {"uri": "s3://models/smol"}}, "contextLength": 1, **spec},
            "status": {"digest": digest, "conditions": list(conditions)},
        }
    )


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (UseFacts(exists=False), "SecretNotFound"),
        (UseFacts(exists=True), "SecretNotAllowed"),
        (UseFacts(exists=True, allowed=True), None),
    ],
)
def test_a_secret_must_exist_and_be_allowed(secret: UseFacts, reason: str | None) -> None:
    problem = check_secret("s3", "team", secret)
    assert (problem and problem.reason.value) == reason
    assert problem is None or "'s3'" in problem.message


def test_the_message_about_a_secret_without_the_label_has_the_command_that_adds_it() -> None:
    problem = check_secret("s3", "team", UseFacts(exists=True))
    assert problem is not None
    assert "kubectl label secret s3 -n team tunewright.dev/use=allowed" in problem.message


@pytest.mark.parametrize(
    ("account", "reason", "words"),
    [
        (UseFacts(exists=False), "ServiceAccountNotFound", "does not exist in namespace 'team'"),
        (
            UseFacts(exists=True),
            "ServiceAccountNotAllowed",
            "kubectl label serviceaccount bucket -n team tunewright.dev/use=allowed",
        ),
        (UseFacts(exists=True, allowed=True), None, ""),
    ],
)
def test_a_service_account_must_exist_and_be_allowed(account: UseFacts, reason: str | None, words: str) -> None:
    problem = check_account("bucket", "team", account)
    assert (problem and problem.reason.value) == reason
    assert problem is None or ("'bucket'" in problem.message and words in problem.message)


ALLOWED = UseFacts(exists=True, allowed=True)
ONLY_SECRET = Storage(secret_ref=NameReference(name="s3"))
ONLY_ACCOUNT = Storage(service_account_name="bucket")
BOTH = ONLY_SECRET.updated(service_account_name="bucket")


@pytest.mark.parametrize(
    ("storage", "secret", "account", "reason"),
    [
        (ONLY_SECRET, ALLOWED, ABSENT, None),
        (ONLY_SECRET, ABSENT, ALLOWED, "SecretNotFound"),
        (ONLY_ACCOUNT, ABSENT, ALLOWED, None),
        (ONLY_ACCOUNT, ALLOWED, ABSENT, "ServiceAccountNotFound"),
        (BOTH, ALLOWED, ALLOWED, None),
        (BOTH, ABSENT, ALLOWED, "SecretNotFound"),
        (BOTH, ALLOWED, UseFacts(exists=True), "ServiceAccountNotAllowed"),
    ],
)
def test_each_part_of_the_storage_that_a_spec_names_must_be_allowed(
    storage: Storage, secret: UseFacts, account: UseFacts, reason: str | None
) -> None:
    problem = check_storage(storage, "team", StorageFacts(secret, account))
    assert (problem and problem.reason.value) == reason


SELECTED = {"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}


@pytest.mark.parametrize(
    ("model", "reason", "transient"),
    [
        (None, "BaseModelNotFound", False),
        (make_model(READY, **SELECTED), "BaseModelNotAllowed", False),
        (make_model(), "BaseModelNotReady", True),
        (make_model(FAILED), "BaseModelNotReady", True),
        (make_model(FAILED, STALLED), "BaseModelNotReady", False),
        (make_model(READY, digest=""), "BaseModelNotReady", True),
    ],
    ids=["missing", "excluded", "new", "failed", "stalled", "without a digest"],
)
def test_a_base_model_that_cannot_be_used(model: BaseModel | None, reason: str, transient: bool) -> None:
    problem = check_base_model("smol", "team", model, {"team": "b"})
    assert problem is not None
    assert (problem.reason, problem.transient, problem.final) == (reason, transient, False)
    assert "'smol'" in problem.message


def test_a_ready_base_model_that_admits_the_namespace_can_be_used() -> None:
    assert check_base_model("smol", "team", make_model(READY), {}) is None
    assert check_base_model("smol", "team", make_model(READY, **SELECTED), {"team": "a"}) is None


def test_the_problem_of_a_base_model_is_part_of_the_message() -> None:
    problem = check_base_model("smol", "team", make_model(FAILED, STALLED), {})
    assert problem is not None
    assert "NoSuchBucket: bucket models does not exist" in problem.message
