"""A conversation's hash depends only on its roles and contents."""

from tunewright_trainer.chat.conversation import ChatMessage, hash_conversation


def test_hash_depends_on_where_a_message_ends(talk):
    assert hash_conversation(talk(("user", "a"), ("user", "b"))) != hash_conversation(talk(("user", 'a"],["user","b')))


def test_hash_depends_on_role_content_and_order(talk):
    turns = [("user", "a"), ("assistant", "b")]
    others = [turns[::-1], [("user", "a"), ("user", "b")], [("user", "a"), ("assistant", "B")], turns[:1], []]
    hashes = {hash_conversation(talk(*some)) for some in [turns, *others]}
    assert len(hashes) == 1 + len(others)


def test_hash_is_that_of_earlier_releases():
    """Splits depend on it: another hash would move held-out records into training."""
    conversation = (ChatMessage("user", "Grüße"), ChatMessage("assistant", "hi"))
    assert hash_conversation(conversation).hex() == "bb0aea11474acb42c14548204d2ea1d0e400da05f6731b86c4c8868d6970e93c"


def test_hash_depends_on_a_weight_of_0():
    turns = ChatMessage("user", "a"), ChatMessage("assistant", "b")
    assert hash_conversation(turns) != hash_conversation((turns[0], ChatMessage("assistant", "b", learned=False)))
