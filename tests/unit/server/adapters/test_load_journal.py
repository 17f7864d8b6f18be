"""Loads that did not end are known after a restart."""

import pytest

from tunewright_server.adapters.load_journal import LoadHistory, LoadJournal

NAME = "support.v2--0123456789ab"


@pytest.fixture
def journal(tmp_path):
    return LoadJournal(tmp_path / ".loads")


def test_an_unknown_adapter_has_no_history(journal):
    assert journal.read(NAME) == LoadHistory()
    journal.end(NAME)
    journal.delete_others(())


def test_a_load_that_ended_leaves_nothing(journal):
    journal.begin(NAME)
    journal.end(NAME)
    assert journal.read(NAME) == LoadHistory()


@pytest.mark.parametrize(("times", "final"), [(1, False), (2, True), (3, True)])
def test_each_process_that_ended_during_a_load_counts(journal, times, final):
    for _ in range(times):
        LoadJournal(journal.folder).begin(NAME)
    history = journal.read(NAME)
    assert (history.interrupted, history.is_final) == (times, final)


def test_an_overdue_load_is_final(journal):
    journal.begin(NAME)
    journal.mark_overdue(NAME)
    assert journal.read(NAME).is_final


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"interrupted": "often"}', b"\xff"])
def test_a_damaged_file_counts_as_no_history(journal, text):
    journal.begin(NAME)
    (journal.folder / f"{NAME}.json").write_bytes(text)
    assert journal.read(NAME) == LoadHistory()


def test_only_the_adapters_of_the_plan_are_kept(journal):
    journal.begin(NAME)
    journal.begin("other--0123456789ab")
    journal.delete_others({NAME})
    assert [path.name for path in journal.folder.iterdir()] == [f"{NAME}.json"]
