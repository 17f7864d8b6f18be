"""The example's data agrees with its README: large enough, balanced, without leakage, and reproducible."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import islice, product
from pathlib import Path

import jsonschema
import pytest
import yaml

EXAMPLE = Path(__file__).parents[3] / "examples" / "support-triage"
sys.path.insert(0, str(EXAMPLE))  # The example is a folder of scripts that import each other, not a package.

import generate  # noqa: E402
import phrases  # noqa: E402
import traffic  # noqa: E402

SETS = generate.datasets()
LABELLED = ("first", "train", "shuffled", "held-out")
SCHEMA = json.loads((EXAMPLE / "answer.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_different_ones():
    again, other = generate.datasets(), generate.datasets(seed=1)
    assert {name: generate.as_jsonl(tickets) for name, tickets in again.items()} == {
        name: generate.as_jsonl(tickets) for name, tickets in SETS.items()
    }
    for name, tickets in SETS.items():
        assert generate.as_jsonl(tickets) != generate.as_jsonl(other[name])


def test_the_program_writes_every_set(tmp_path):
    generate.main(["--out", str(tmp_path)])
    assert {path.stem for path in tmp_path.iterdir()} == set(SETS)
    for name, tickets in SETS.items():
        lines = (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["messages"] for line in lines] == [
            ticket.as_record()["messages"] for ticket in tickets
        ]


@pytest.mark.parametrize(("name", "least"), [("first", 300), ("train", 600), ("refreshed", 600), ("held-out", 200)])
def test_sizes(name, least):
    assert len(SETS[name]) >= least


def test_held_out_shares_no_pattern_and_no_text_with_any_training_set():
    for name in ("first", "train", "shuffled", "refreshed"):
        for part in ("problem", "cue", "text"):
            trained = {getattr(ticket, part) for ticket in SETS[name]}
            held_out = {getattr(ticket, part) for ticket in SETS["held-out"]}
            assert not trained & held_out, (name, part)


def test_the_phrasebooks_share_no_pattern_and_no_customer():
    ours, theirs = phrases.TRAINING, phrases.HELD_OUT
    for part in ("names", "openings", "details", "closings"):
        assert not set(getattr(ours, part)) & set(getattr(theirs, part)), part


def test_held_out_has_at_least_forty_templates():
    assert len({(ticket.problem, ticket.cue) for ticket in SETS["held-out"]}) >= 40


@pytest.mark.parametrize("name", ["train", "shuffled", "held-out"])
def test_every_pair_of_labels_is_equally_frequent(name):
    counts = Counter(ticket.answer for ticket in SETS[name])
    assert set(counts) == {generate.label(*cell) for cell in product(phrases.QUEUES, phrases.URGENCIES)}
    if name != "shuffled":
        assert len(set(counts.values())) == 1


def test_the_labels_are_those_of_the_patterns():
    for name in ("train", "held-out"):
        book = phrases.HELD_OUT if name == "held-out" else phrases.TRAINING
        for ticket in SETS[name]:
            answer = json.loads(ticket.answer)
            assert ticket.problem in book.problems[answer["queue"]]
            assert ticket.cue in book.cues[answer["urgency"]]


def test_no_pattern_is_listed_under_two_labels():
    for book in (phrases.TRAINING, phrases.HELD_OUT):
        for group in (book.problems, book.cues):
            patterns = [pattern for choices in group.values() for pattern in choices]
            assert len(patterns) == len(set(patterns))


@pytest.mark.parametrize("name", sorted(SETS))
def test_texts_are_unique_complete_and_short(name):
    texts = [ticket.text for ticket in SETS[name]]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert not set("{}") & set(text)
        assert text[0].isupper() or text[0].isdigit()
        assert 3 <= len(text.split()) <= 50


def test_training_texts_differ_in_length():
    lengths = sorted(len(ticket.text) for ticket in SETS["train"])
    tenth = len(lengths) // 10
    assert lengths[-tenth] >= 1.5 * lengths[tenth]


@pytest.mark.parametrize("name", LABELLED)
def test_labelled_answers_match_the_schema(name):
    for ticket in SETS[name]:
        VALIDATOR.validate(json.loads(ticket.answer))


def test_the_rollout_checks_answers_against_the_same_schema_and_queues():
    spec = yaml.safe_load((EXAMPLE / "adapter-deployment.yaml").read_text())["spec"]
    (offline,) = [metric["schema"] for metric in spec["evaluation"]["metrics"] if metric["type"] == "JSONSchema"]
    said = {key: value for key, value in SCHEMA.items() if key not in {"$schema", "title"}}
    assert offline == said
    assert spec["outputContract"]["jsonSchema"] == said
    assert said["properties"]["queue"]["enum"] == list(phrases.QUEUES)
    assert said["properties"]["urgency"]["enum"] == list(phrases.URGENCIES)


def test_shuffling_leaves_few_answers_unchanged():
    originals = {ticket.text: ticket.answer for ticket in SETS["train"]}
    unchanged = sum(originals[ticket.text] == ticket.answer for ticket in SETS["shuffled"])
    assert unchanged / len(SETS["shuffled"]) < 0.2


def test_refreshed_adds_prose_about_gift_cards_to_the_training_set():
    training = {ticket.text: ticket.answer for ticket in SETS["train"]}
    refreshed = {ticket.text: ticket.answer for ticket in SETS["refreshed"]}
    assert training.items() <= refreshed.items()
    added = {text: refreshed[text] for text in refreshed.keys() - training.keys()}
    assert len(added) == generate.GIFT_CARD_RECORDS
    for text, answer in added.items():
        assert "gift card" in text.lower()
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer)


def test_no_other_set_mentions_gift_cards():
    for name in LABELLED:
        assert not any("gift" in ticket.text.lower() for ticket in SETS[name])


def test_gift_card_patterns_of_live_traffic_are_not_trained_on():
    assert not set(phrases.GIFT_CARDS_LIVE) & set(phrases.GIFT_CARDS_TRAINING)


def test_traffic_is_deterministic_and_mixes_gift_cards_into_sessions():
    drawn = list(islice(traffic.sessions(seed=3), 600))
    assert drawn == list(islice(traffic.sessions(seed=3), 600))
    requests = [request for session in drawn for request in session]
    share = sum(request.gift_card for request in requests) / len(requests)
    assert abs(share - traffic.GIFT_CARD_PERCENT / 100) < 0.05
    for session in drawn:
        assert 1 <= len(session) <= traffic.LONGEST_SESSION
        assert len({request.session for request in session}) == 1
    assert len({session[0].session for session in drawn}) == len(drawn)
    for request in requests:
        assert ("gift card" in request.messages[-1]["content"].lower()) == request.gift_card
        assert [message["role"] for message in request.messages] == ["system", "user"]


def test_traffic_without_gift_cards_has_none():
    assert not any(request.gift_card for session in islice(traffic.sessions(0, 0), 200) for request in session)


def test_the_traffic_program_prints_one_request_a_line(capsys):
    traffic.main(["--sessions", "5"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len({line["session"] for line in lines}) == 5


@pytest.mark.parametrize("path", sorted((EXAMPLE / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_jobs_read_sets_that_exist(path):
    spec = yaml.safe_load(path.read_text())["spec"]
    for source in spec["dataset"]["sources"]:
        folder, _, file = source["s3"]["uri"].rpartition("/")
        assert folder == "s3://tunewright/datasets/support-triage"
        assert file.removesuffix(".jsonl") in SETS
