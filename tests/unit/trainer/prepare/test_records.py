"""Every bad record is named with file, line and reason; the job decides how many are tolerated."""

import dataclasses
import json

import pytest

from tunewright_contracts.run_spec import DatasetFormat
from tunewright_trainer.dataset.record import InputFile, Record
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare import records
from tunewright_trainer.prepare.problems import KEPT_PROBLEMS, Problem
from tunewright_trainer.prepare.records import ReadResult, judge_problems, judge_template, read_records
from tunewright_trainer.prepare.validate import Fault, RecordError, check_length

GOOD = b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}'


def read(data, record_format=DatasetFormat.AUTO, system_prompt="", measure=lambda _conversation, _added: 1):
    file = InputFile("tickets/a.jsonl", record_format, "v", lambda: data)
    return read_records([file], system_prompt, measure)


def messages(*turns):
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]}).encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfeb", "not UTF-8: byte 0xff at position 1"),
        (b'{"messages": [}', "not JSON: Expecting value at column 15"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not usable JSON: nested too deeply"),
        (b'{"text": "hello"}', 'has neither "messages" nor "prompt" and "completion" (its keys: text)'),
        (b'{"messages": {}}', '"messages" is an object, not a list of messages'),
        (b'{"messages": []}', "has no messages"),
        (b'{"messages": ["hi"]}', "message 1 is text, not an object with role and content"),
        (messages(("bot", "x")), "message 1 has the role 'bot', not system, user or assistant"),
        (messages((["user"], "x")), "message 1 has the role ['user'], not system, user or assistant"),
        (b'{"messages": ' + b"9" * 5000 + b"}", "not usable JSON: Exceeds the limit"),
        (messages(("user", None)), "message 1 has nothing as content, not text"),
        (messages(("user", "q"), ("assistant", " ")), "message 2 (assistant) is empty"),
        (messages(("user", "q")), "has no assistant message to learn from"),
        (messages(("system", "s"), ("assistant", "a")), "has an assistant message before the first user message"),
        (messages(("user", "q"), ("assistant", "a"), ("user", "q")), "ends with a user message; the last message must"),
        (messages(("user", "q"), ("system", "s"), ("assistant", "a")), "message 2 is a system message; only the first"),
        (messages(("user", "\ud800"), ("assistant", "a")), "message 1 (user) contains half of a surrogate pair"),
        (
            b'{"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}',
            "message 1 has tool_calls, which is not supported",
        ),
    ],
)
def test_reason_of_a_bad_line(line, reason):
    result = read(GOOD + b"\n\n" + line + b"\n" + GOOD)
    assert len(result.records) == 2
    (problem,) = map(str, result.problems)
    assert problem.startswith(f"tickets/a.jsonl:3: {reason}")


def test_an_unknown_format_is_reported_with_the_keys():
    (problem,) = read(b'{"text": "hello"}').problems
    assert str(problem) == ('tickets/a.jsonl:1: has neither "messages" nor "prompt" and "completion" (its keys: text)')


def test_auto_goes_by_each_record_and_counts_the_formats():
    result = read(b'{"prompt": "q", "completion": "a"}\n' + GOOD)
    assert len(result.records) == 2
    assert result.problems == ()
    assert result.formats == {DatasetFormat.PROMPT_COMPLETION: 1, DatasetFormat.MESSAGES: 1}


def test_a_source_with_a_format_has_only_that_one():
    result = read(b'{"prompt": "q", "completion": "a"}\n' + GOOD, DatasetFormat.PROMPT_COMPLETION)
    assert len(result.records) == 1
    assert result.problems == (Problem("tickets/a.jsonl", 2, 'has no "prompt"'),)


def test_prompt_completion_as_text_and_as_messages(talk):
    conversational = (
        b'{"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}'
    )
    result = read(b'{"prompt": "q", "completion": "a"}\n' + conversational, DatasetFormat.PROMPT_COMPLETION)
    assert {record.conversation for record in result.records} == {talk(("user", "q"), ("assistant", "a"))}
    assert len(result.records) == 2


def test_byte_order_mark_and_windows_line_ends():
    assert len(read(b"\xef\xbb\xbf" + GOOD + b"\r\n" + GOOD + b"\r\n").records) == 2


def test_a_system_prompt_is_added_only_where_there_is_none():
    own = messages(("system", "mine"), ("user", "q"), ("assistant", "a"))
    found = read(GOOD + b"\n" + own, system_prompt="yours").records
    assert [record.conversation[0].content for record in found] == ["yours", "mine"]


def test_over_long_counts_the_system_prompt():
    def measure(conversation, _added):
        tokens = sum(len(turn.content) for turn in conversation)
        check_length(tokens, 5, "the setting")
        return tokens

    assert read(GOOD, measure=measure).problems == ()
    (problem,) = read(GOOD, system_prompt="long!", measure=measure).problems
    assert str(problem) == "tickets/a.jsonl:1: has 7 tokens, more than the limit of 5 (the setting)"


def result_of(valid, invalid):
    problems = tuple(Problem("a", number, "bad") for number in range(1, invalid + 1))
    return ReadResult(tuple(Record((), 1) for _ in range(valid)), problems, invalid)


@pytest.mark.parametrize(("valid", "invalid", "percent"), [(10, 0, 0), (95, 5, 5), (0, 1, 100)])
def test_tolerated(valid, invalid, percent):
    judge_problems(result_of(valid, invalid), "Skip", percent, "")


def test_too_many_invalid_names_the_first_five():
    with pytest.raises(TrainerError) as error:
        judge_problems(result_of(94, 6), "Skip", 5, "s3://bucket/run/invalid-records.jsonl")
    assert error.value.reason is Reason.INVALID_RECORDS
    assert str(error.value) == (
        "6 of 100 records are invalid and dataset.maxInvalidPercent is 5; all are listed in "
        "s3://bucket/run/invalid-records.jsonl: a:1: bad; a:2: bad; a:3: bad; a:4: bad; a:5: bad; and 1 more. "
        "Correct or remove them"
    )


def test_the_policy_fail_tolerates_no_bad_record():
    with pytest.raises(TrainerError, match=r"dataset\.onInvalidRecord is Fail: a:1: bad\. Correct"):
        judge_problems(result_of(1000, 1), "Fail", 100, "")


def test_no_records_at_all():
    result = dataclasses.replace(result_of(0, 0), files=("tickets/a.jsonl", "tickets/b.jsonl"))
    with pytest.raises(TrainerError, match=r"no records in tickets/a\.jsonl, tickets/b\.jsonl; write") as error:
        judge_problems(result, "Skip", 5, "")
    assert error.value.reason is Reason.DATASET_EMPTY


def test_all_are_counted_and_the_first_ten_thousand_kept():
    result = read(b"x\n" * (KEPT_PROBLEMS + 3))
    assert result.invalid == KEPT_PROBLEMS + 3
    assert len(result.problems) == KEPT_PROBLEMS
    with pytest.raises(TrainerError, match=f"{result.invalid} of {result.invalid} records are invalid"):
        judge_problems(result, "Skip", 50, "")


def test_quotes_of_long_records_leave_room_for_the_rest_of_the_message():
    record = messages(("é" * 5000, "x"))
    result = read((record + b"\n") * 7)
    assert all(len(problem.reason) <= 501 for problem in result.problems)
    address = "s3://bucket/adapters/runs/" + "r" * 100 + "/invalid-records.jsonl"
    with pytest.raises(TrainerError) as error:
        judge_problems(result, "Fail", 0, address)
    assert len(str(error.value).encode()) <= 1024
    assert "tickets/a.jsonl:5: message 1 has the role 'éé" in str(error.value)
    assert address in str(error.value)
    assert str(error.value).endswith("and 2 more. Correct or remove them")


def test_half_a_surrogate_pair_in_a_reason_can_be_encoded():
    (problem,) = read(b'{"\\ud800": 1}').problems
    assert str(problem).encode().endswith(b"(its keys: ?)")


WEIGHTS = {"role": "assistant", "content": "WRONG ANSWER", "weight": 0}
ASK, RIGHT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "right", "weight": 1}


def test_a_weight_of_0_is_kept_up_to_the_last_learned_answer(talk):
    record = {"messages": [ASK, WEIGHTS, ASK, RIGHT, ASK, WEIGHTS]}
    (found,) = read(json.dumps(record).encode()).records
    assert [message.learned for message in found.conversation] == [True, False, True, True]
    assert found.conversation[-1].content == "right", "the reference answer of a held-out record"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": [ASK, WEIGHTS]}, "has no assistant message to learn from: each has weight 0"),
        ({"tools": [{"type": "function"}], "messages": [ASK, RIGHT]}, "has tools, which is not supported: tool calls"),
        (
            {"messages": [{**ASK, "name": "Ada"}, RIGHT]},
            "message 1 has name, which is not supported: names of speakers",
        ),
        (
            {"prompt": "p", "completion": {"queue": "billing"}},
            '"completion" is an object, not text or a list of messages; write JSON as text, with escaped quotes',
        ),
        ({"prompt": 7, "completion": "c"}, '"prompt" is a number, not text or a list of messages; write JSON as text'),
        (
            {"messages": [ASK, {"role": "assistant", "content": {"queue": "billing"}}]},
            "message 2 has an object as content, not text; write JSON as text, with escaped quotes",
        ),
        ({"prompt": [ASK, RIGHT, ASK], "completion": [{"role": "bot"}]}, "message 4 has the role 'bot'"),
        ({"prompt": [ASK, RIGHT, ASK], "completion": [{**RIGHT, "content": " "}]}, "message 4 (assistant) is empty"),
    ],
)
def test_reason_of_a_bad_record(record, reason):
    (problem,) = read(json.dumps(record).encode()).problems
    assert problem.reason.startswith(reason)


def test_unknown_keys_of_valid_records_are_counted():
    rows = [
        {"messages": [ASK, {**RIGHT, "id": 1}], "id": 1, "source": "mail"},
        {"messages": [ASK, RIGHT], "id": 2},
        {"messages": [], "id": 3},
    ]
    result = read("\n".join(map(json.dumps, rows)).encode())
    assert result.ignored_keys == {"id": 2, "source": 1, "messages[].id": 1}


def test_the_number_of_counted_keys_is_limited(monkeypatch):
    monkeypatch.setattr(records, "_COUNTED_KEYS", 2)
    rows = [{"messages": [ASK, RIGHT], f"key-{number % 4}": 1} for number in range(8)]
    assert read("\n".join(map(json.dumps, rows)).encode()).ignored_keys == {"key-0": 2, "key-1": 2}


def test_files_without_records_are_named():
    files = [
        InputFile(label, DatasetFormat.AUTO, "v", lambda data=data: data)
        for label, data in (("a", b"\n"), ("b", b"{}"))
    ]
    assert read_records(files, "", lambda _conversation, _added: 1).empty_files == ("a",)


def faulty(valid, *faults):
    problems = tuple(Problem("a", number, f"reason {number}", fault) for number, fault in enumerate(faults, start=1))
    counts = {fault: faults.count(fault) for fault in faults}
    return ReadResult(tuple(Record((), 1) for _ in range(valid)), problems, len(faults), faults=counts)


RECORD, TEMPLATE, SYSTEM_PROMPT = Fault.RECORD, Fault.TEMPLATE, Fault.SYSTEM_PROMPT


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            faulty(0, TEMPLATE, TEMPLATE),
            (
                "the chat template of base model tiny cannot be used with any of the 2 records, for example a:1: "
                "reason 1. Correct spec.training.chatTemplate of BaseModel tiny, or choose another base model"
            ),
        ),
        (faulty(0, RECORD, TEMPLATE, TEMPLATE), "with any of the 3 records, for example a:2: reason 2. Correct spec."),
        (
            faulty(0, SYSTEM_PROMPT, SYSTEM_PROMPT),
            "the chat template of base model tiny cannot be used with spec.dataset.systemPrompt: a:1: reason 1. Remove",
        ),
        (faulty(0, TEMPLATE, SYSTEM_PROMPT), "spec.dataset.systemPrompt: a:2: reason 2. Remove spec.dataset.systemPro"),
    ],
)
def test_the_base_model_is_at_fault_if_its_template_fits_no_record(result, words):
    with pytest.raises(TrainerError) as error:
        judge_template(result, "tiny")
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE
    assert words in str(error.value)


@pytest.mark.parametrize(
    "result",
    [faulty(0), faulty(1), faulty(1, TEMPLATE, TEMPLATE), faulty(0, RECORD), faulty(0, RECORD, TEMPLATE)],
)
def test_the_base_model_is_not_at_fault(result):
    judge_template(result, "tiny")


def test_the_fault_is_kept_and_the_added_system_prompt_is_no_message_of_the_record():
    added = []

    def measure(conversation, number):
        added.append(number)
        raise RecordError("does not fit", Fault.TEMPLATE)

    own = messages(("system", "mine"), ("user", "q"), ("assistant", "a"))
    result = read(GOOD + b"\n" + own + b"\n{", system_prompt="yours", measure=measure)
    assert added == [1, 0]
    assert [problem.fault for problem in result.problems] == [TEMPLATE, TEMPLATE, RECORD]
    assert result.faults == {TEMPLATE: 2, RECORD: 1}
