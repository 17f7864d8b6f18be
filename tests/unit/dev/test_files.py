from __future__ import annotations

from tunewright_dev import files


def test_writing_equal_content_does_not_change_the_file(tmp_path):
    path = tmp_path / "deep" / "config.json"
    files.write(path, "a", mode=0o600)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    files.write(path, "a", mode=0o600)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    files.write(path, "b", mode=0o600)
    assert path.read_text() == "b"
    assert path.stat().st_mode & 0o777 == 0o600
