"""A record is valid when it has an answer to learn and its length fits."""

import pytest

from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.prepare.validate import RecordError, check_conversation, check_length


@pytest.mark.parametrize(
    "turns",
    [
        (("user", "q"), ("assistant", "a")),
        (("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "q"), ("assistant", "a")),
        (("user", "q"), ("user", "and"), ("assistant", "a"), ("assistant", "b")),
    ],
)
def test_conversations_to_learn_from(talk, turns):
    check_conversation(talk(*turns))


@pytest.mark.parametrize(("tokens", "limit"), [(5, 5), (1, 5)])
def test_a_length_within_the_limit(tokens, limit):
    check_length(tokens, limit, "the setting")


def test_a_length_over_the_limit_names_the_setting():
    with pytest.raises(RecordError, match=r"has 6 tokens, more than the limit of 5 \(the setting\)"):
        check_length(6, 5, "the setting")


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        ("\u200b", "U+200B"),
        ("\ufeff \u200d", "U+FEFF, U+0020, U+200D"),
        ("\u2060\u2060\u2060\u2060", "U+2060"),
        ("\u00ad", "U+00AD"),
        ("\x00", "U+0000"),
        ("\u3164", "U+3164"),
        ("\u2800", "U+2800"),
        ("\ufe0f", "U+FE0F"),
        ("\U000e0100", "U+E0100"),
        ("\U000e0041", "U+E0041"),
    ],
)
@pytest.mark.parametrize("place", [1, 2])
def test_a_message_that_shows_nothing_is_refused(talk, content, codes, place):
    contents = ["q", "a"]
    contents[place - 1] = content
    role = ("user", "assistant")[place - 1]
    with pytest.raises(RecordError) as error:
        check_conversation(talk(("user", contents[0]), ("assistant", contents[1])))
    assert str(error.value) == (
        f"message {place} ({role}) has only invisible characters ({codes}); write text, or remove the record"
    )


@pytest.mark.parametrize("content", ["a\u200b", "\u200b.", "👍\ufe0f", "\u0301", "\ue000", "日", "0"])
def test_a_message_that_shows_something_is_kept(talk, content):
    check_conversation(talk(("user", content), ("assistant", content)))


def test_a_record_needs_an_answer_that_is_learned():
    ask, wrong = ChatMessage("user", "q"), ChatMessage("assistant", "a", learned=False)
    check_conversation((ask, wrong, ask, ChatMessage("assistant", "a")))
    with pytest.raises(RecordError, match=r"^has no assistant message to learn from: each has weight 0$"):
        check_conversation((ask, wrong))
