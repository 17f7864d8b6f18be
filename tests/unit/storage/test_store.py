"""A digest is the SHA-256 of a file's bytes, as `sha256sum` prints it."""

import hashlib

from tunewright_storage.store import digest_file


def test_the_digest_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"content" * 1_000_000)
    assert digest_file(tmp_path / "a") == f"sha256:{hashlib.sha256(b'content' * 1_000_000).hexdigest()}"


def test_the_digest_of_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert digest_file(tmp_path / "empty") == f"sha256:{hashlib.sha256().hexdigest()}"
