"""Joined messages: sentences, whatever the parts look like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_operator.domain.sentences import join_sentences, start_sentence


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("The ModelServer has no ready replica.", "The ModelServer has no ready replica."),
        ("Unschedulable: 0/1 nodes are available", "Unschedulable: 0/1 nodes are available."),
        ("Really?", "Really?"),
        ("It waits!", "It waits!"),
        ("The log was cut…", "The log was cut…"),
        ("(spec.retry.outOfMemory is Fail.)", "(spec.retry.outOfMemory is Fail.)"),
        ('It reports "not found."', 'It reports "not found."'),
        ("Run `kubectl describe job x`", "Run `kubectl describe job x`."),
        (" The pod is gone \n", "The pod is gone."),
        ('pods "p" is forbidden: exceeded quota', 'pods "p" is forbidden: exceeded quota.'),
    ],
)
def test_a_part_ends_like_a_sentence(part: str, sentence: str):
    assert join_sentences(part) == sentence


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("the ModelServer has no ready replica", "The ModelServer has no ready replica"),
        ("first, create the Secret", "First, create the Secret"),
        ("the Secret's keys are missing", "The Secret's keys are missing"),
        ("kubelet's message: no space", "Kubelet's message: no space"),
        ("ErrorRate: bad answers 3/4", "ErrorRate: bad answers 3/4"),
        ("", ""),
    ],
)
def test_a_word_at_the_start_gets_a_capital_letter(text: str, started: str):
    assert start_sentence(text) == started


@pytest.mark.parametrize(
    "text",
    [
        "spec.baseModelRef: BaseModel 'x' does not exist.",
        "modelName 'support' is taken.",
        "s3://bucket/prefix is empty.",
        "support--40b02e062f1a: waits.",
        "adapter_model.safetensors: not finite.",
        "server-0: starts.",
        "tunewright.dev/abort=support--40b02e062f1a@1 does nothing.",
        "support: waits.",
    ],
)
def test_a_name_at_the_start_keeps_its_letters(text: str):
    assert start_sentence(text) == join_sentences(text) == text


def test_parts_are_separate_sentences_and_empty_ones_are_left_out():
    joined = join_sentences("jobs is forbidden, limited: count=0", "", "  ", "raise the quota.")
    assert joined == "jobs is forbidden, limited: count=0. Raise the quota."
    assert join_sentences("Clients get 503.", "the server starts") == "Clients get 503. The server starts."
    assert join_sentences() == join_sentences("", " ") == ""


@given(st.lists(st.text()))
def test_joining_again_changes_nothing(parts: list[str]):
    joined = join_sentences(*parts)
    assert join_sentences(joined) == joined
