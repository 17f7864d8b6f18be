"""Files are ordered by source and then by name; the version of each changes with its content."""

import pytest

from tunewright_contracts.run_spec import DatasetFormat, DatasetSource
from tunewright_contracts.storage_uri import StorageURI
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare.sources import Line, list_files, split_lines

DATA = StorageURI.parse("s3://bucket/data")


def source(uri=None, name="tickets", **options):
    return DatasetSource.from_wire({"name": name, **({"s3": {"uri": uri}} if uri else {"configMap": True}), **options})


@pytest.fixture
def mount(tmp_path):
    """Write the files of a ConfigMap as the kubelet mounts them; return the root of all sources."""

    def write(name="tickets", **files):
        hidden = tmp_path / name / "..2026_01_01"
        hidden.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (hidden / f"{file}.jsonl").write_text(text)
            link = tmp_path / name / f"{file}.jsonl"
            link.unlink(missing_ok=True)
            link.symlink_to(hidden / f"{file}.jsonl")
        return tmp_path

    return write


def test_sources_in_order_and_their_files_by_name(store, mount):
    for name in ("b.jsonl", "a/x.jsonl", "notes.txt"):
        store.write(DATA.join(name), name.encode())
    root = mount(two="2", one="1")
    files = list_files((source("s3://bucket/data", "bucket"), source()), store, root).files
    assert [file.label for file in files] == [
        "bucket/a/x.jsonl",
        "bucket/b.jsonl",
        "tickets/one.jsonl",
        "tickets/two.jsonl",
    ]
    assert [file.read() for file in files] == [b"a/x.jsonl", b"b.jsonl", b"1", b"2"]


def test_a_single_object_is_named_by_its_file(store, tmp_path):
    store.write(DATA.join("a.jsonl"), b"1")
    (file,) = list_files((source("s3://bucket/data/a.jsonl", format="Messages"),), store, tmp_path).files
    assert (file.label, file.format) == ("tickets/a.jsonl", DatasetFormat.MESSAGES)


def test_versions_change_with_the_content_only(store, mount):
    def versions():
        return [file.version for file in list_files((source("s3://bucket/data"), source()), store, root).files]

    store.write(DATA.join("a.jsonl"), b"1")
    root = mount(a="1")
    before = versions()
    assert versions() == before
    store.write(DATA.join("a.jsonl"), b"2")
    mount(a="2")
    assert all(old != new for old, new in zip(before, versions(), strict=True))


def test_a_config_map_without_records_files(store, tmp_path):
    folder = tmp_path / "tickets"
    folder.mkdir()
    for name in ("a.csv", "b.csv", "c.csv", "d.csv"):
        (folder / name).write_text("x")
    with pytest.raises(
        TrainerError, match=r"source tickets: its ConfigMap holds a\.csv, b\.csv, c\.csv, … but no \.jsonl file"
    ) as error:
        list_files((source(),), store, tmp_path)
    assert error.value.reason is Reason.DATASET_NOT_FOUND


@pytest.mark.parametrize(
    ("names", "read", "notes"),
    [
        (("a.jsonl",), ["a.jsonl"], ()),
        (("A.JSONL", "b.Jsonl"), ["A.JSONL", "b.Jsonl"], ()),
        ((".hidden.jsonl",), [".hidden.jsonl"], ()),
        (
            ("a.jsonl", "b.json"),
            ["a.jsonl"],
            ("Source tickets: 1 file was not read, because its name does not end in .jsonl: b.json.",),
        ),
        (
            ("a.jsonl", "e.txt", "d.jsonl.gz", "c.csv", "b.json"),
            ["a.jsonl"],
            (
                (
                    "Source tickets: 4 files were not read, because their names do not end in .jsonl: b.json, c.csv, "
                    "d.jsonl.gz, …."
                ),
            ),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["S3", "ConfigMap"])
def test_files_that_are_not_read_are_named(store, tmp_path, kind, names, read, notes):
    for name in names:
        if kind == "S3":
            store.write(DATA.join(name), b"1")
        else:
            (tmp_path / "tickets").mkdir(exist_ok=True)
            (tmp_path / "tickets" / name).write_text("1")
    listed = list_files((source("s3://bucket/data" if kind == "S3" else None),), store, tmp_path)
    assert [file.label for file in listed.files] == [f"tickets/{name}" for name in read]
    assert listed.notes == notes


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\xef\xbb\xbfa\n\n  \nb", [Line(1, b"a"), Line(4, b"b")]),
        (b"a\r\nb\r\n", [Line(1, b"a\r"), Line(2, b"b\r")]),
        ("a\u2028b\n".encode(), [Line(1, "a\u2028b".encode())]),  # may be unescaped in JSON
    ],
)
def test_line_numbers_include_blank_lines(data, lines):
    assert list(split_lines(data)) == lines
