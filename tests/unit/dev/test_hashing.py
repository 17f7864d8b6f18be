from __future__ import annotations

import pytest

from tunewright_dev import hashing


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("1")
    (tmp_path / "two.py").write_text("2")
    return tmp_path


def hash_folder(folder, **parameters):
    return hashing.hash_inputs(
        parameters, [(str(path.relative_to(folder)), path) for path in hashing.list_files(folder)]
    )


def test_equal_inputs_have_equal_hashes_in_any_folder(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("clone")
    (other / "two.py").write_text("2")
    (other / "a").mkdir()
    (other / "a" / "one.py").write_text("1")
    assert hash_folder(folder, flag="x") == hash_folder(other, flag="x")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "two.py").write_text("3"),
        lambda folder: (folder / "two.py").rename(folder / "three.py"),
        lambda folder: (folder / "two.py").chmod(0o755),
        lambda folder: (folder / "a" / "new.py").write_text(""),
        lambda folder: (folder / "a" / "one.py").unlink(),
    ],
    ids=["content", "name", "executable bit", "new file", "lost file"],
)
def test_every_change_changes_the_hash(folder, change):
    before = hash_folder(folder)
    change(folder)
    assert hash_folder(folder) != before


def test_fields_do_not_run_together(tmp_path):
    assert hashing.hash_inputs({"ab": "c"}, []) != hashing.hash_inputs({"a": "bc"}, [])


def test_caches_of_tools_do_not_count(folder):
    before = hash_folder(folder)
    (folder / "a" / "__pycache__").mkdir()
    (folder / "a" / "__pycache__" / "one.cpython-311.pyc").write_text("x")
    (folder / "a" / "one.pyc").write_text("x")
    assert hash_folder(folder) == before


def test_a_missing_input_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        hashing.list_files(tmp_path / "absent")
