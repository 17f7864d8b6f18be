"""A reason is a word on the wire, with its documentation in the code."""

import json

import pytest

from tunewright_contracts.reasons import TRANSIENT, Reason


class Example(Reason):
    FINAL = ("Broken", "It is broken.", "Repair it.")
    RETRIED = ("Retrying", "It failed and is retried.", "No action needed.", TRANSIENT)


def test_a_reason_equals_its_word():
    assert Example.FINAL == "Broken"
    assert Example("Broken") is Example.FINAL
    assert f"{Example.FINAL}" == "Broken"
    assert json.dumps({"reason": Example.RETRIED}) == '{"reason": "Retrying"}'


def test_a_reason_has_its_documentation():
    assert (Example.FINAL.meaning, Example.FINAL.remedy) == ("It is broken.", "Repair it.")
    assert [reason.transient for reason in Example] == [False, True]


def test_a_reason_needs_a_remedy():
    with pytest.raises(TypeError, match="remedy"):
        Reason("Undocumented", {"A": ("A", "Only a meaning.")})
