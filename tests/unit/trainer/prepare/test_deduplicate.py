"""Duplicates are removed at any position; the first of each is kept."""

from hypothesis import given
from hypothesis import strategies as st

from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.dataset.record import Record
from tunewright_trainer.prepare.deduplicate import deduplicate

text = st.text(min_size=1, max_size=8)
turn = st.builds(ChatMessage, st.sampled_from(["user", "assistant"]), text)
# Validated conversations end with an answer.
records = st.lists(
    st.builds(
        lambda turns, answer: Record((*turns, ChatMessage("assistant", answer)), 1),
        st.lists(turn, min_size=1, max_size=2),
        text,
    ),
    max_size=30,
)


@given(records)
def test_exact_duplicates(some):
    unique, dropped = deduplicate(some + some, "Exact")
    assert len(unique) + dropped == 2 * len(some)
    assert len({record.conversation for record in unique}) == len(unique)
    assert {record.conversation for record in unique} == {record.conversation for record in some}
    assert deduplicate(unique, "Exact") == (unique, 0)


@given(records)
def test_none_keeps_all(some):
    assert deduplicate(some + some, "None") == (some + some, 0)


def test_the_first_of_each_is_kept_in_order(talk):
    one, two = talk(("user", "1"), ("assistant", "a")), talk(("user", "2"), ("assistant", "a"))
    some = [Record(one, 1), Record(two, 2), Record(one, 3), Record(two, 4)]
    assert deduplicate(some, "Exact") == ([Record(one, 1), Record(two, 2)], 2)
