"""Stored answers are reused only if the status recorded their digest under the same conditions."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.document_keys import KEY, OTHER_KEY
from support.worlds.evaluation_world import FOLDER, INCUMBENT, Store, request_for
from tunewright_contracts.authentication.document_key import DocumentKind
from tunewright_contracts.document import Document
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_contracts.stored_answers import KnownAnswers, StoredAnswers, answers_uri
from tunewright_evaluator import answer_store
from tunewright_evaluator.answer_store import build_conditions, keep, recall
from tunewright_evaluator.records import Record
from tunewright_storage.store import digest_bytes

RECORDS = [Record(number, ({"role": "user", "content": f"q{number}"},), "a") for number in range(3)]
ANSWERS = ["first", "", "third"]
REPORT = FOLDER.join("report.json")
CONDITIONS = build_conditions(request_for(), INCUMBENT)
assert CONDITIONS is not None


def store_answers(store):
    """Store the answers of the incumbent; return how a status records them."""
    record = asyncio.run(keep(store, REPORT, CONDITIONS, RECORDS, ANSWERS, key=KEY))
    assert record is not None
    return KnownAnswers(**record.model_dump(), uri=str(answers_uri(FOLDER, record)))


def recall_from(store, *known, **changes):
    request = request_for(knownAnswers=[item.to_wire() for item in known], **changes)
    return asyncio.run(recall(store, request, build_conditions(request, INCUMBENT), KEY))


def test_answers_are_recalled_by_their_questions():
    store = Store()
    found = recall_from(store, store_answers(store))
    assert found.note == ""
    assert found.answers == {record.question: answer for record, answer in zip(RECORDS, ANSWERS, strict=True)}


def test_the_file_lists_its_conditions():
    store = Store()
    known = store_answers(store)
    document = StoredAnswers.from_json(store.written[known.uri])
    assert document.conditions == CONDITIONS
    assert known.answers == len(document.answers) == 3


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"engine": "sha256:" + "f" * 64}, "image or configuration"),
        ({"incumbentDigest": "sha256:" + "3" * 64}, "the adapter"),
        ({"incumbentStopTokenIds": [2]}, "image or configuration"),
        ({"maxTokens": 8}, "the sampling is another one"),
        ({"engine": None}, "is unknown"),
        ({"incumbentDigest": None}, "is unknown"),
    ],
)
def test_under_other_conditions_nothing_is_recalled(changes, note):
    store = Store()
    found = recall_from(store, store_answers(store), **changes)
    assert found.answers == {}
    assert note in found.note


def replace_answer(data):
    wire = json.loads(data)
    wire["answers"][0]["answer"] = "better"
    return json.dumps(wire).encode()


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (replace_answer, "another digest than the status recorded"),
        (lambda data: data[:-10], "another digest than the status recorded"),
        (lambda _: b"", "another digest than the status recorded"),
        (lambda _: None, "cannot be read (NotFound)"),
    ],
)
def test_a_damaged_file_has_no_answers(damage, note):
    store = Store()
    known = store_answers(store)
    data = damage(store.written.pop(known.uri))
    if data is not None:
        store.written[known.uri] = data
    found = recall_from(store, known)
    assert found.answers == {}
    assert note in found.note


def test_a_file_that_is_too_large_has_no_answers(monkeypatch):
    store = Store()
    known = store_answers(store)
    monkeypatch.setattr(answer_store, "MAX_STORED_BYTES", 10)
    assert "cannot be read (ObjectTooLarge)" in recall_from(store, known).note


def record_as(known, data):
    """Return a record whose digest fits the data, as of a status that was tricked into recording it."""
    return known.updated(digest=digest_bytes(data))


def seal(document, key=KEY):
    return key.seal(DocumentKind.STORED_ANSWERS, document)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"no JSON", "cannot be read (InvalidAnswers)"),
        (b"{}", "is not authentic: it has no authentication"),
        (seal(StoredAnswers(conditions=CONDITIONS), key=OTHER_KEY), "made with another key"),
        (StoredAnswers(conditions=CONDITIONS).to_json().encode(), "an earlier version wrote it"),
        (KEY.seal(DocumentKind.EVALUATION_REPORT, StoredAnswers(conditions=CONDITIONS)), "not a StoredAnswers"),
        (seal(Document()), "cannot be read (InvalidAnswers)"),
        (seal(StoredAnswers(conditions=CONDITIONS.updated(max_tokens=8))), "has answers under other conditions"),
    ],
)
def test_a_malformed_file_has_no_answers(data, note):
    store = Store()
    known = record_as(store_answers(store), data)
    store.written[known.uri] = data
    found = recall_from(store, known)
    assert found.answers == {}
    assert note in found.note


def test_an_ambiguous_address_has_no_answers():
    store = Store()
    known = store_answers(store).updated(uri="s3://bucket/a/../b")
    assert "cannot be read" in recall_from(store, known).note


def test_answers_of_another_target_are_none():
    store = Store()
    request = request_for(knownAnswers=[store_answers(store).to_wire()])
    found = asyncio.run(recall(store, request, build_conditions(request, BASE_MODEL_TARGET), KEY))
    assert (found.answers, found.note) == ({}, "no answers are stored")


def test_answers_that_cannot_be_stored_are_not_recorded(monkeypatch):
    assert asyncio.run(keep(Store(broken="answers"), REPORT, CONDITIONS, RECORDS, ANSWERS, key=KEY)) is None
    monkeypatch.setattr(answer_store, "MAX_STORED_BYTES", 10)
    store = Store()
    assert asyncio.run(keep(store, REPORT, CONDITIONS, RECORDS, ANSWERS, key=KEY)) is None
    assert store.written == {}


def test_a_repeated_question_is_stored_once():
    record = asyncio.run(keep(Store(), REPORT, CONDITIONS, [RECORDS[0], RECORDS[0]], ["a", "b"], key=KEY))
    assert record is not None
    assert record.answers == 1
