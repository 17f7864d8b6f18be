"""A record is valid when it has an answer to learn and its length fits."""

import pytest

from tunewright_trainer.chat.template import ChatTemplateError
from tunewright_trainer.prepare.validate import RecordError, check_conversation, check_length, decode_line


def test_a_line_is_one_json_object():
    assert decode_line('{"a": "é"}'.encode()) == {"a": "é"}


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
def test_a_length_within_the_limit_is_returned(talk, tokens, limit):
    assert check_length(talk(("user", "q")), lambda _turns: tokens, limit, "the setting") == tokens


def test_a_length_over_the_limit_names_the_setting(talk):
    with pytest.raises(RecordError, match=r"has 6 tokens, more than the limit of 5 \(the setting\)"):
        check_length(talk(("user", "q")), lambda _turns: 6, 5, "the setting")


def test_a_template_that_refuses_makes_the_record_unusable(talk):
    def count(_conversation):
        raise ChatTemplateError("roles must alternate")

    with pytest.raises(RecordError, match="the chat template rejects it: roles must alternate"):
        check_length(talk(("user", "q")), count, 5, "the setting")
