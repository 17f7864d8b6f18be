"""Stored answers: what makes another key, and where files lie."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_contracts.document import ContractError
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import AnswerConditions, AnswerRecord, KnownAnswers, answers_uri

CONDITIONS = AnswerConditions(
    engine="sha256:" + "e" * 64,
    target="support--1",
    target_digest="sha256:" + "1" * 64,
    stop_token_ids=(2,),
    max_tokens=256,
)
OTHERS: dict[str, Any] = {
    "answer_format": 2,
    "engine": "sha256:" + "f" * 64,
    "target": "support--2",
    "target_digest": "sha256:" + "2" * 64,
    "stop_token_ids": None,
    "temperature": 1,
    "max_tokens": 128,
}


def test_every_condition_is_in_the_key() -> None:
    assert OTHERS.keys() == AnswerConditions.model_fields.keys()
    keys = {CONDITIONS.key(), *(CONDITIONS.updated(**{name: value}).key() for name, value in OTHERS.items())}
    assert len(keys) == 1 + len(OTHERS)
    assert AnswerConditions.from_json(CONDITIONS.to_json()).key() == CONDITIONS.key()


def record(digit: str) -> AnswerRecord:
    digest = "sha256:" + digit * 64
    return AnswerRecord(target="base-model", key=CONDITIONS.key(), digest=digest, answers=1)


def test_a_file_lies_beside_the_report_and_is_named_by_its_content() -> None:
    folder = StorageURI.parse("s3://bucket/evaluations/team-support")
    assert str(answers_uri(folder, record("a"))) == f"{folder}/answers/base-model-{'a' * 32}.json"
    assert answers_uri(folder, record("b")) != answers_uri(folder, record("a"))


@pytest.mark.parametrize("target", ["../x", "a/b", "", "x" * 200])
def test_a_target_that_is_no_plain_name_is_refused(target: str) -> None:
    with pytest.raises(ContractError):
        KnownAnswers.from_wire({**record("a").to_wire(), "target": target, "uri": "s3://bucket/x"})
