"""Read records from files, and collect the invalid ones."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from tunewright_contracts.dataset_lines import InvalidRecordError, decode_line
from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.chat.conversation import ChatMessage, Conversation
from tunewright_trainer.dataset.record import InputFile, Record
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare.formats import detect_format, parse_record
from tunewright_trainer.prepare.keys import list_ignored_keys
from tunewright_trainer.prepare.problems import (
    KEPT_PROBLEMS,
    SHOWN_PROBLEMS,
    Problem,
    build_problem,
    show_problems,
)
from tunewright_trainer.prepare.sources import split_lines
from tunewright_trainer.prepare.validate import Fault, check_conversation

_COUNTED_KEYS = 1000
Measure = Callable[[Conversation, int], int]
"""Conversation, and how many messages at its beginning are not the record's → tokens; raises `InvalidRecordError`."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadResult:
    """Records in the order of files and lines; ``problems`` has the first `KEPT_PROBLEMS` of the ``invalid`` ones."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    invalid: int
    files: tuple[str, ...] = ()
    empty_files: tuple[str, ...] = ()
    formats: Mapping[DatasetFormat, int] = dataclasses.field(default_factory=dict)
    """The number of valid records by format."""
    ignored_keys: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Keys of valid records that were not read, with the number of records that have them."""
    faults: Mapping[Fault, int] = dataclasses.field(default_factory=dict)
    """The number of invalid records by what makes them invalid."""


@dataclasses.dataclass(frozen=True, slots=True)
class _ValidRecord:
    record: Record
    format: DatasetFormat
    ignored_keys: frozenset[str]


def read_records(files: Iterable[InputFile], system_prompt: str, measure: Measure) -> ReadResult:
    """Read, parse and validate all records.

    Args:
        files: the input files, read one after the other.
        system_prompt: added to each conversation that has no system message.
        measure: counts the tokens of a conversation, and checks them.

    Raises:
        StorageError: a file cannot be read.
    """
    records: list[Record] = []
    problems: list[Problem] = []
    invalid = 0
    read: list[str] = []
    empty: list[str] = []
    formats: Counter[DatasetFormat] = Counter()
    ignored_keys: Counter[str] = Counter()
    faults: Counter[Fault] = Counter()
    for file in files:
        read.append(file.label)
        before = len(records) + invalid
        for outcome in _read_file(file, system_prompt, measure):
            if isinstance(outcome, _ValidRecord):
                records.append(outcome.record)
                formats[outcome.format] += 1
                ignored_keys.update(key for key in outcome.ignored_keys if _is_counted(key, ignored_keys))
                continue
            invalid += 1
            faults[outcome.fault] += 1
            if invalid <= KEPT_PROBLEMS:
                problems.append(outcome)
        if len(records) + invalid == before:
            empty.append(file.label)
    return ReadResult(
        tuple(records),
        tuple(problems),
        invalid,
        files=tuple(read),
        empty_files=tuple(empty),
        formats=dict(formats),
        ignored_keys=dict(ignored_keys),
        faults=dict(faults),
    )


def judge_template(result: ReadResult, base_model: str) -> None:
    """Decide whether no record is valid because of the chat template or the system prompt.

    If some records are valid, the invalid ones are judged like all others.

    Raises:
        TrainerError: most records are invalid because of one of them, and none is valid.
    """
    faults = (Fault.SYSTEM_PROMPT, Fault.TEMPLATE)
    if result.records or 2 * sum(result.faults.get(fault, 0) for fault in faults) <= result.invalid:
        return
    fault = next(fault for fault in faults if result.faults.get(fault))
    example = next((problem for problem in result.problems if problem.fault is fault), result.problems[0])
    if fault is Fault.SYSTEM_PROMPT:
        raise TrainerError(
            Reason.INVALID_CHAT_TEMPLATE,
            f"the chat template of base model {base_model} cannot be used with spec.dataset.systemPrompt: {example}. "
            "Remove spec.dataset.systemPrompt and write its text into the user's messages, or choose a base model "
            "whose template has system messages",
        )
    raise TrainerError(
        Reason.INVALID_CHAT_TEMPLATE,
        f"the chat template of base model {base_model} cannot be used with any of the {result.invalid} records, for "
        f"example {example}. Correct spec.training.chatTemplate of BaseModel {base_model}, or choose another base "
        "model",
    )


def judge_problems(
    result: ReadResult, on_invalid: Literal["Skip", "Fail"], max_invalid_percent: int, list_uri: str
) -> None:
    """Decide whether the job tolerates its invalid records.

    Args:
        result: what was read.
        on_invalid: ``Fail`` tolerates no invalid record.
        max_invalid_percent: how many of the records ``Skip`` tolerates.
        list_uri: the address of the list of all invalid records, for the message; empty: there is no list.

    Raises:
        TrainerError: there are no records at all, or more invalid ones than tolerated.
    """
    invalid, total = result.invalid, result.invalid + len(result.records)
    if total == 0:
        where = ", ".join(result.files[:SHOWN_PROBLEMS])
        raise TrainerError(
            Reason.DATASET_EMPTY, f"no records in {where}; write one JSON record per line into the dataset's files"
        )
    if invalid == 0:
        return
    if on_invalid == "Fail":
        tolerance = "dataset.onInvalidRecord is Fail"
    elif invalid * 100 > max_invalid_percent * total:
        tolerance = f"dataset.maxInvalidPercent is {max_invalid_percent}"
    else:
        return
    shown = "; ".join(show_problems(result.problems))
    # Before the records, which may fill a truncated message.
    listed = f"; all are listed in {list_uri}" if list_uri else ""
    more = f"; and {invalid - SHOWN_PROBLEMS} more" if invalid > SHOWN_PROBLEMS else ""
    raise TrainerError(
        Reason.INVALID_RECORDS,
        f"{invalid} of {total} records are invalid and {tolerance}{listed}: {shown}{more}. Correct or remove them",
    )


def cut_unlearned_end(conversation: Conversation) -> Conversation:
    """Return the conversation up to its last learned answer.

    What follows has no loss and does not affect what is before it. Without the cut, an answer with weight 0 could be
    the reference answer of a held-out record.
    """
    learned = [index for index, message in enumerate(conversation) if message.role == "assistant" and message.learned]
    return conversation[: learned[-1] + 1]


def add_system_prompt(conversation: Conversation, system_prompt: str) -> Conversation:
    """Return the conversation with the system prompt, unless it has a system message or the prompt is empty."""
    if not system_prompt or conversation[0].role == "system":
        return conversation
    return (ChatMessage("system", system_prompt), *conversation)


def _read_file(file: InputFile, system_prompt: str, measure: Measure) -> Iterator[_ValidRecord | Problem]:
    for line in split_lines(file.read()):
        try:
            data = decode_line(line.content)
            record_format = detect_format(data) if file.format is DatasetFormat.AUTO else file.format
            conversation = parse_record(data, record_format)
            check_conversation(conversation)
            own = cut_unlearned_end(conversation)
            conversation = add_system_prompt(own, system_prompt)
            record = Record(conversation, measure(conversation, len(conversation) - len(own)))
            yield _ValidRecord(record, record_format, list_ignored_keys(data, record_format))
        except InvalidRecordError as error:
            yield build_problem(file.label, line.number, error)


def _is_counted(key: str, counted: Mapping[str, int]) -> bool:
    """Return whether a key is counted: files whose records all have other keys must not fill the memory."""
    return key in counted or len(counted) < _COUNTED_KEYS
