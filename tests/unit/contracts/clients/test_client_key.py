"""A key is recognized by its form and its checksum, and is stored as a hash only."""

import hashlib
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunewright_contracts.clients.client_key import (
    ALPHABET,
    ID_LENGTH,
    SECRET_LENGTH,
    build_client_key,
    find_key_id,
    hash_client_key,
)

ID, SECRET = "7Kp2mX9bT4cQ", "0123456789abcdefghijABCDEFGHIJ0123456789xyz"
KEY = build_client_key(ID, SECRET)
digits = st.sampled_from(ALPHABET)


def test_a_key_has_the_documented_form():
    assert KEY.removeprefix(f"sk-tw-{ID}_{SECRET}") == "27WqDd"  # the CRC-32, 1943527245, in base62
    assert find_key_id(KEY) == ID
    assert SECRET_LENGTH * math.log2(len(ALPHABET)) > 256


def test_the_hash_is_that_of_the_whole_key():
    assert hash_client_key(KEY) == hashlib.sha256(KEY.encode()).hexdigest()


@given(
    st.text(digits, min_size=ID_LENGTH, max_size=ID_LENGTH),
    st.text(digits, min_size=SECRET_LENGTH, max_size=SECRET_LENGTH),
)
def test_every_built_key_is_recognized(key_id, secret):
    assert find_key_id(build_client_key(key_id, secret)) == key_id


@given(st.integers(0, len(KEY) - 1), st.characters())
def test_one_wrong_character_is_noticed(position, character):
    changed = KEY[:position] + character + KEY[position + 1 :]
    assert changed == KEY or find_key_id(changed) is None


@pytest.mark.parametrize(
    "text",
    ["", "sk-tw-", "none", KEY[:-1], KEY + "0", f"{KEY}\n", f" {KEY}", KEY.lower(), KEY.replace("_", "-"), KEY * 2],
)
def test_other_texts_are_no_keys(text):
    assert find_key_id(text) is None


@given(st.text())
@example("sk-tw-" + "٣" * ID_LENGTH + "_" + "٣" * (SECRET_LENGTH + 6))
def test_any_text_can_be_judged(text):
    assert find_key_id(text) is None
