"""Which adapters a namespace may serve, and the rule that pods get."""

from __future__ import annotations

import pytest

from tunewright_operator.domain.serving.adapter_sources import SourcePolicy

OPEN = SourcePolicy("serving")
BY_NAMESPACE = SourcePolicy("serving", ("s3://models/{namespace}/", "s3://shared/adapters"))


@pytest.mark.parametrize(
    ("policy", "namespace", "uri", "allowed"),
    [
        (OPEN, "serving", "s3://any/where", True),
        (OPEN, "team", "s3://any/where", False),
        (OPEN, "serving", "s3://any/../where", False),
        (BY_NAMESPACE, "team", "s3://models/team/a", True),
        (BY_NAMESPACE, "team", "s3://models/team", True),
        (BY_NAMESPACE, "team", "s3://shared/adapters/a", True),
        (BY_NAMESPACE, "team", "s3://models/other/a", False),
        (BY_NAMESPACE, "team", "s3://models/team-2/a", False),
        (BY_NAMESPACE, "team", "s3://models/team/../other/a", False),
        (BY_NAMESPACE, "team", "s3://models2/team/a", False),
        (BY_NAMESPACE, "serving", "s3://models/team/a", False),
        (SourcePolicy("serving", ("s3://models/..",)), "serving", "s3://models/a", False),
    ],
)
def test_what_a_namespace_may_serve(policy: SourcePolicy, namespace: str, uri: str, allowed: bool) -> None:
    refusal = policy.explain_refusal(namespace, uri)
    assert (refusal is None) is allowed
    assert allowed or uri in (refusal or "")


def test_a_refusal_names_the_allowed_prefixes() -> None:
    refusal = BY_NAMESPACE.explain_refusal("team", "s3://models/other/a") or ""
    assert "s3://models/team, s3://shared/adapters" in refusal


def test_pods_get_the_prefixes_of_the_namespaces_that_are_served() -> None:
    uses = [("team", "s3://models/team/a"), ("team", "s3://models/team/b"), ("other", "s3://models/other/a")]
    sources = [(source.namespace, source.uri_prefix) for source in BY_NAMESPACE.list_for_plan(uses)]
    assert sources == [
        ("other", "s3://models/other"),
        ("other", "s3://shared/adapters"),
        ("team", "s3://models/team"),
        ("team", "s3://shared/adapters"),
    ]
    assert BY_NAMESPACE.list_for_plan([]) == ()


def test_without_prefixes_pods_get_the_buckets_in_use() -> None:
    uses = [("serving", "s3://any/where"), ("serving", "s3://any/else"), ("serving", "s3://other/x")]
    sources = [(source.namespace, source.uri_prefix) for source in OPEN.list_for_plan(uses)]
    assert sources == [("serving", "s3://any"), ("serving", "s3://other")]
