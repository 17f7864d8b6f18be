"""Documents name plain files of a closed list, each once, with sizes that exist."""

from __future__ import annotations

from typing import Annotated

import pytest

from tunewright_contracts.content_file import FORBIDDEN_FILE, ContentFile, PlainName, only_files
from tunewright_contracts.document import ContractError, Message

DIGEST = "sha256:" + "0" * 64


class Listing(Message):
    files: Annotated[tuple[ContentFile, ...], only_files({"a.jsonl", "b.jsonl"})]


class Named(Message):
    name: PlainName


def listing(*files):
    return {"files": [{"path": path, "sha256": DIGEST, "size": size} for path, size in files]}


def test_a_listing_of_allowed_files_is_read():
    assert [file.path for file in Listing.from_wire(listing(("a.jsonl", 0), ("b.jsonl", 7))).files] == [
        "a.jsonl",
        "b.jsonl",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/torch.py",
        "../a.jsonl",
        "./a.jsonl",
        "x/a.jsonl",
        "a.jsonl/",
        "a.jsonl\n",
        "a.jsonl\0",
        "A.jsonl",
        "..",
        ".",
        "",
        "sitecustomize.py",
    ],
)
def test_other_files_are_forbidden(path):
    with pytest.raises(ContractError, match=r"files: lists .*but only a\.jsonl, b\.jsonl are allowed") as error:
        Listing.from_wire(listing(("a.jsonl", 1), (path, 1)))
    assert error.value.kinds == {FORBIDDEN_FILE}


def test_a_message_about_many_forbidden_files_is_short():
    with pytest.raises(ContractError) as error:
        Listing.from_wire(listing(*((f"{number}{'x' * 1000}", 1) for number in range(1000))))
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ([("a.jsonl", 1), ("a.jsonl", 2)], r"lists 'a\.jsonl' more than once"),
        ([("a.jsonl", -1)], r"files\.0\.size"),
        ([("a.jsonl", 1), ("b.jsonl", -(10**18))], r"files\.1\.size"),
        ([("a.jsonl", 1 << 63)], r"files\.0\.size"),
        ([("a.jsonl", 1.5)], r"files\.0\.size"),
    ],
)
def test_repeated_names_and_impossible_sizes_are_refused(files, problem):
    with pytest.raises(ContractError, match=problem) as error:
        Listing.from_wire(listing(*files))
    assert FORBIDDEN_FILE not in error.value.kinds


@pytest.mark.parametrize("name", ["support--0123456789ab", "a", "A.b_c-d", "x" * 128])
def test_plain_names(name):
    assert Named.from_wire({"name": name}).name == name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/a", "../a", "a\n", "a\0", "é", "a b", "x" * 129])
def test_names_that_are_no_path_segment(name):
    with pytest.raises(ContractError):
        Named.from_wire({"name": name})
