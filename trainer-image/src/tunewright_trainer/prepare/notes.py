"""Tell the user what was left out of the data, or read in an unexpected way: one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.prepare.records import ReadResult

SHOWN_NOTES = 8
SHOWN_KEYS = 10
_SHOWN_NAMES = 3
_KEY_CHARACTERS = 48
_NOTE_BYTES = 280
"""The most bytes of a note: eight of them leave room in a termination message, which has 4 KiB."""


def describe_reading(read: ReadResult) -> tuple[str, ...]:
    """Return the notes on files without records, mixed formats and keys that were not read."""
    notes: list[str] = []
    if read.empty_files:
        notes.append(f"{_count(len(read.empty_files), 'file')} without records: {_join_names(read.empty_files)}.")
    if len(read.formats) > 1:
        counts = " and ".join(
            _count(read.formats[item], f"{item} record") for item in DatasetFormat if item in read.formats
        )
        notes.append(f"The formats are mixed: {counts}.")
    if read.ignored_keys:
        shown = list(rank_keys(read.ignored_keys).items())[:_SHOWN_NAMES]
        more = len(read.ignored_keys) - len(shown)
        keys = ", ".join(f"{key} ({_count(number, 'record')})" for key, number in shown)
        notes.append(f"Keys that were not read: {keys}{f', and {more} more' if more else ''}.")
    return tuple(notes)


def describe_context(answers: int) -> tuple[str, ...]:
    """Return the note on answers that are not learned because of the chat template; none without such answers."""
    if not answers:
        return ()
    verb = "is" if answers == 1 else "are"
    who = f"{_count(answers, 'answer')} before the last one of a record {verb} not learned"
    return (f"{who}: the chat template renders an answer in another way when other messages follow.",)


def rank_keys(ignored: Mapping[str, int]) -> dict[str, int]:
    """Return the `SHOWN_KEYS` most frequent ignored keys, shortened, with the number of records that have them."""
    ranked = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_KEYS]
    return {_shorten_key(key): number for key, number in ranked}


def limit_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Return at most `SHOWN_NOTES` notes of at most 283 bytes; the last one says how many are left out."""
    kept = [_shorten(note) for note in notes]
    if len(kept) > SHOWN_NOTES:
        kept[SHOWN_NOTES - 1 :] = [f"{len(kept) - SHOWN_NOTES + 1} more notes are in the pod's log."]
    return tuple(kept)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")


def _shorten_key(key: str) -> str:
    text = key.encode(errors="replace").decode()
    return text if len(text) <= _KEY_CHARACTERS else f"{text[:_KEY_CHARACTERS]}…"


def _shorten(text: str) -> str:
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= _NOTE_BYTES else data[:_NOTE_BYTES].decode(errors="ignore") + "…"
