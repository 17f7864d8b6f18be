"""A new key is random, and only its hash and its id leave the object."""

import datetime as dt

from tunewright_cli.new_key import create_key
from tunewright_contracts.clients.client_key import find_key_id, hash_client_key

END = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)


def test_keys_are_valid_and_differ():
    keys = [create_key(None) for _ in range(100)]
    assert all(find_key_id(key.text) == key.id for key in keys)
    assert len({key.id for key in keys}) == len({key.text[19:] for key in keys}) == 100


def test_an_entry_has_the_hash_and_the_end():
    key = create_key(END)
    assert key.to_entry() == {"id": key.id, "sha256": hash_client_key(key.text), "notAfter": "2026-04-01T00:00:00Z"}
    assert "notAfter" not in create_key(None).to_entry()


def test_no_text_of_the_object_has_the_secret():
    key = create_key(END)
    for text in (str(key), repr(key), str(key.to_entry())):
        assert key.text[19:] not in text
        assert key.id in text
    assert str(key) == f"{key.id}, which ends at 2026-04-01T00:00:00Z"
    assert str(create_key(None)).endswith("which does not end")
