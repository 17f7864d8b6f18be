"""How the history of a digest decides what it may do."""

from __future__ import annotations

import pytest

from support.worlds.rollout_world import digest_of
from tunewright_operator.api.adapter_deployment import HistoryEntry, Outcome, Revision
from tunewright_operator.domain.rollout import history

BASE, OTHER_BASE = "sha256:" + "b" * 64, "sha256:" + "c" * 64


def revision(word: str, base: str = BASE) -> Revision:
    return Revision(
        revision=f"support--{word}", digest=digest_of(word), uri=f"s3://models/{word}", rank=8, base_model_digest=base
    )


def entry(word: str, outcome: Outcome, base: str = BASE) -> HistoryEntry:
    fields = revision(word, base).model_dump()
    return HistoryEntry(**fields, outcome=outcome, reason=outcome.value, from_="2026-01-01T00:00:00Z", to="")


@pytest.mark.parametrize(
    ("past", "named", "skips"),
    [
        pytest.param([entry("one", Outcome.PROMOTED)], True, True, id="promoted, and named in the spec"),
        pytest.param([entry("one", Outcome.PROMOTED)], False, False, id="found by a selector"),
        pytest.param([entry("one", Outcome.PROMOTED, OTHER_BASE)], True, False, id="promoted on another base model"),
        pytest.param([entry("two", Outcome.PROMOTED)], True, False, id="another digest was promoted"),
        pytest.param([], True, False, id="never a candidate"),
        *(
            pytest.param([entry("one", outcome), entry("one", Outcome.PROMOTED)], True, False, id=f"{outcome} last")
            for outcome in (Outcome.ROLLED_BACK, Outcome.ABORTED, Outcome.SUPERSEDED)
        ),
        pytest.param(
            [entry("one", Outcome.PROMOTED), entry("one", Outcome.ROLLED_BACK)], True, True, id="promoted last"
        ),
    ],
)
def test_which_revisions_go_to_their_bake_at_once(past, named, skips):
    assert history.may_skip_steps(past, revision("one"), named=named) is skips


@pytest.mark.parametrize(
    ("past", "excluded"),
    [
        ([], False),
        ([Outcome.PROMOTED], False),
        ([Outcome.SUPERSEDED], False),
        ([Outcome.ROLLED_BACK], True),
        ([Outcome.ABORTED], True),
        ([Outcome.PROMOTED, Outcome.ROLLED_BACK], False),
        ([Outcome.ROLLED_BACK, Outcome.PROMOTED], True),
    ],
)
def test_which_digests_need_a_manual_request_to_return(past, excluded):
    entries = [entry("two", Outcome.ROLLED_BACK), *(entry("one", outcome) for outcome in past)]
    assert history.is_excluded(entries, digest_of("one")) is excluded


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, ["new"]), (1, ["new"]), (2, ["new", "one"]), (9, ["new", "one", "two"])]
)
def test_a_new_entry_comes_first_and_the_oldest_are_dropped(limit, kept):
    past = [entry("one", Outcome.PROMOTED), entry("two", Outcome.PROMOTED)]
    entries = history.add_entry(past, entry("new", Outcome.ABORTED), limit)
    assert [item.revision for item in entries] == [f"support--{word}" for word in kept]
