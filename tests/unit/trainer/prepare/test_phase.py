"""The prepare phase against a bucket: what it writes, that a second run repeats its result, and what it refuses."""

import json

import pytest

from support.training import NO_PATIENCE, Time
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_storage import base_model
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.chat.template import ChatTemplate
from tunewright_trainer.dataset import storage
from tunewright_trainer.dataset.record import Split
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.prepare import records
from tunewright_trainer.prepare.phase import prepare
from tunewright_trainer.process.patience import Patience
from tunewright_trainer.process.termination import explain_failure


@pytest.fixture
def run(store, settings, make_spec, use_tokenizer):
    store.write(StorageURI.parse("s3://bucket/models/tiny/config.json"), b"{}")
    return lambda **sections: prepare(make_spec(**sections), store, settings, ProgressBoard(), NO_PATIENCE)


@pytest.fixture
def config_map(settings):
    def write(**files):
        folder = settings.sources_root / "tickets"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.jsonl").write_text(text)

    return write


BAD_LINES = [
    b"{",
    b"[]",
    b"7",
    b'{"messages": []}',
    b'{"text": "x"}',
    b'{"prompt": "q"}',
    b'{"completion": "a"}',
]
OPENS_THINKING = "{% if add_generation_prompt %}<think>\n{% endif %}"
RUN = StorageURI.parse("s3://bucket/adapters/runs/support/tickets-12345678")
LIST = RUN.join("invalid-records.jsonl")


@pytest.fixture
def seven_bad(store, jsonl):
    """Return a dataset whose object begins with seven bad records, each with another problem."""
    data = b"\n".join(BAD_LINES) + b"\n" + jsonl(133).encode()
    store.write(StorageURI.parse("s3://bucket/data/a.jsonl"), data)
    return {"sources": [{"name": "tickets", "s3": {"uri": "s3://bucket/data/a.jsonl"}}], "maxInvalidPercent": 5}


def listed(store):
    return [json.loads(line) for line in store.read(LIST).decode().splitlines()]


def objects(store, uri):
    return {str(item.uri): item.version for item in store.list(StorageURI.parse(uri))}


def test_writes_splits_and_manifest(run, config_map, jsonl, store, settings):
    config_map(a=jsonl(80), b=jsonl(60, start=40))
    result = run()
    summary = result.dataset
    assert (result.outcome, result.reason) == (Outcome.SUCCEEDED, "Prepared")
    assert summary.train + summary.validation + summary.evaluation == 100
    assert summary.duplicates == 40
    stored = storage.fetch_dataset(
        store, StorageURI.parse(summary.uri), settings.work / "fetched", summary.digest, summary.manifest_digest
    )
    assert stored.summarise() == summary
    manifest = stored.manifest
    assert sorted(manifest.inputs) == ["tickets/a.jsonl", "tickets/b.jsonl"]
    train = storage.read_split(settings.work / "fetched", Split.TRAIN)
    assert len(train) == summary.train
    assert summary.uri.startswith("s3://bucket/adapters/datasets/sha256-")


def test_an_adapter_that_no_server_can_load_is_refused_before_anything_is_written(run, config_map, jsonl, store):
    config_map(a=jsonl(60))
    with pytest.raises(TrainerError, match="cannot serve an adapter of it") as error:
        run(training={"lora": {"targetModules": ["q_proj", "lm_head"]}})
    assert error.value.reason is Reason.INVALID_TRAINING
    assert not objects(store, "s3://bucket/adapters")


def test_a_second_run_changes_nothing(run, config_map, jsonl, store):
    config_map(a=jsonl(60))
    first = run()
    before = objects(store, "s3://bucket/adapters")
    assert run() == first
    assert objects(store, "s3://bucket/adapters") == before


def test_other_records_get_another_folder(run, config_map, jsonl):
    config_map(a=jsonl(60))
    first = run()
    config_map(a=jsonl(61))
    assert run().dataset.uri != first.dataset.uri


def test_interrupted_run_is_completed(run, config_map, jsonl, store):
    config_map(a=jsonl(60))
    first = run()
    store.delete_prefix(StorageURI.parse(first.dataset.uri).join(storage.MANIFEST_NAME))
    assert run() == first


def test_objects_below_a_prefix(run, jsonl, store):
    store.write(StorageURI.parse("s3://bucket/data/x/a.jsonl"), jsonl(60).encode())
    store.write(StorageURI.parse("s3://bucket/data/README.md"), b"not records")
    source = {"name": "tickets", "s3": {"uri": "s3://bucket/data"}}
    result = run(dataset={"sources": [source]})
    assert result.dataset.train + result.dataset.validation + result.dataset.evaluation == 60


def test_a_single_object(run, jsonl, store):
    store.write(StorageURI.parse("s3://bucket/data/a.jsonl"), jsonl(60).encode() + b"oops\n")
    source = {"name": "tickets", "s3": {"uri": "s3://bucket/data/a.jsonl"}}
    result = run(dataset={"sources": [source]})
    assert result.dataset.first_problems == ("tickets/a.jsonl:61: not JSON: Expecting value at column 1",)
    assert result.dataset.skipped == 1


def check_all_seven_are_listed(store):
    rows = listed(store)
    assert [(row["file"], row["line"]) for row in rows] == [("tickets/a.jsonl", line) for line in range(1, 8)]
    assert [row["reason"].split(" (")[0].split(":")[0] for row in rows] == [
        "not JSON",
        "not a JSON object",
        "not a JSON object",
        "has no messages",
        'has neither "messages" nor "prompt" and "completion"',
        'has neither "messages" nor "prompt" and "completion"',
        'has neither "messages" nor "prompt" and "completion"',
    ]


def test_all_skipped_records_are_listed_in_the_runs_folder(run, seven_bad, store):
    result = run(dataset=seven_bad)
    check_all_seven_are_listed(store)
    assert result.dataset.skipped == 7
    assert len(result.dataset.first_problems) == 5
    assert result.dataset.problems_uri == str(LIST)
    assert result.message.endswith(f" and 7 invalid records, listed in {LIST}")
    assert run(dataset=seven_bad) == result, "a run that finds prepared data has the list, too"


@pytest.mark.parametrize("tolerance", [{"onInvalidRecord": "Fail"}, {"maxInvalidPercent": 4}])
def test_all_records_that_fail_a_job_are_listed_too(run, seven_bad, store, tolerance):
    with pytest.raises(TrainerError) as error:
        run(dataset={**seven_bad, **tolerance})
    check_all_seven_are_listed(store)
    assert error.value.reason is Reason.INVALID_RECORDS
    assert f"all are listed in {LIST}: tickets/a.jsonl:1: not JSON" in str(error.value)
    assert "tickets/a.jsonl:5" in str(error.value)
    assert "and 2 more. Correct or remove them" in str(error.value)
    result = explain_failure(error.value)
    assert len(result.message.encode()) <= 1024
    assert PhaseResult.from_json(result.to_termination_message()).message == str(error.value)


def test_a_list_over_its_limit_says_how_many_records_it_leaves_out(run, seven_bad, store, monkeypatch):
    monkeypatch.setattr(records, "KEPT_PROBLEMS", 6)
    assert run(dataset=seven_bad).dataset.skipped == 7
    assert listed(store)[5]["line"] == 6
    assert listed(store)[6:] == [{"more": 1}]


@pytest.mark.parametrize("reason", [StorageReason.UNREACHABLE, StorageReason.ACCESS_DENIED])
def test_a_list_that_cannot_be_stored_does_not_hide_the_problem(run, seven_bad, store, monkeypatch, reason):
    write = store.write

    def refuse(uri, data, **options):
        if uri == LIST:
            raise StorageError(reason, "not today")
        return write(uri, data, **options)

    monkeypatch.setattr(store, "write", refuse)
    with pytest.raises(
        TrainerError, match=r"7 of 140 records are invalid and dataset\.onInvalidRecord is Fail: tickets/"
    ):
        run(dataset={**seven_bad, "onInvalidRecord": "Fail"})
    assert run(dataset=seven_bad).dataset.problems_uri == ""


def test_good_data_leaves_no_list(run, config_map, jsonl, store):
    config_map(a=jsonl(60))
    assert run().dataset.problems_uri == ""
    assert not store.exists(LIST)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bucket/nothing", "source tickets: no objects at s3://bucket/nothing"),
        ("s3://bucket/data", r"source tickets: s3://bucket/data holds a\.csv but no \.jsonl file"),
    ],
)
def test_missing_dataset(run, store, uri, message):
    store.write(StorageURI.parse("s3://bucket/data/a.csv"), b"a,b")
    with pytest.raises(TrainerError, match=message) as error:
        run(dataset={"sources": [{"name": "tickets", "s3": {"uri": uri}}]})
    assert error.value.reason is Reason.DATASET_NOT_FOUND


def test_empty_config_map(run):
    with pytest.raises(TrainerError, match="its ConfigMap is empty") as error:
        run()
    assert error.value.reason is Reason.DATASET_NOT_FOUND


def test_empty_file(run, config_map):
    config_map(a="\n\n")
    with pytest.raises(TrainerError) as error:
        run()
    assert error.value.reason is Reason.DATASET_EMPTY


def test_a_model_that_always_thinks_is_refused(run, config_map, jsonl, use_tokenizer):
    use_tokenizer.template = ChatTemplate(f"{use_tokenizer.template.source}{OPENS_THINKING}", {})
    config_map(a=jsonl(60))
    with pytest.raises(TrainerError, match="adds a think block to each answer") as error:
        run()
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE


def test_all_duplicates(run, config_map, jsonl):
    config_map(a=jsonl(1) * 50)
    with pytest.raises(TrainerError, match=r"1 unique records \(after 49 duplicates were dropped\)") as error:
        run()
    assert error.value.reason is Reason.TOO_FEW_RECORDS


def test_over_long_records(run, config_map, jsonl):
    config_map(a=jsonl(60))
    with pytest.raises(TrainerError, match=r"tokens, more than the limit of 30 \(training.maxSequenceLength\)"):
        run(training={"maxSequenceLength": 30})


def test_a_bad_schema_is_found_before_data_is_read(run):
    with pytest.raises(TrainerError, match="not a JSON Schema") as error:
        run(evaluation={"metrics": [{"type": "JSONSchema", "schema": {"type": 7}}]})
    assert error.value.reason is Reason.INVALID_METRIC


def test_no_such_output_bucket(run, config_map, jsonl):
    config_map(a=jsonl(60))
    with pytest.raises(StorageError) as error:
        run(outputUri="s3://missing/adapters")
    assert error.value.reason is StorageReason.NO_SUCH_BUCKET


def test_too_many_files_are_rejected_before_one_is_read(run, config_map, jsonl, store, monkeypatch):
    config_map(a=jsonl(80), b=jsonl(60, start=40))
    monkeypatch.setattr(storage, "_MAX_INPUT_BYTES", 100)
    monkeypatch.setattr("tunewright_trainer.prepare.phase.read_records", None)
    with pytest.raises(StorageError, match="has 2 files") as error:
        run()
    assert error.value.reason is StorageReason.TOO_LARGE


def test_a_truncated_split_is_written_again(run, config_map, jsonl, store):
    config_map(a=jsonl(60))
    summary = run().dataset
    uri = StorageURI.parse(summary.uri).join("train.jsonl")
    before = store.read(uri)
    store.write(uri, b"")
    assert run().dataset == summary
    assert store.read(uri) == before


def test_a_changed_byte_is_detected(run, config_map, jsonl, store, tmp_path):
    config_map(a=jsonl(60))
    prepared = run().dataset
    uri = StorageURI.parse(prepared.uri)
    data = store.read(uri.join("train.jsonl"))
    store.write(uri.join("train.jsonl"), data.replace(b"question", b"Question", 1))
    with pytest.raises(TrainerError, match=r"the digest of train\.jsonl differs from the manifest"):
        storage.fetch_dataset(store, uri, tmp_path / "fetched", prepared.digest)


def test_held_out_records_keep_their_form(run, config_map, store):
    row = {"prompt": "Grüße 日本", "completion": '{"a": 1}'}
    config_map(a="".join(json.dumps({**row, "prompt": f"{row['prompt']} {n}"}) + "\n" for n in range(60)))
    summary = run().dataset
    text = store.read(StorageURI.parse(summary.uri).join("evaluation.jsonl")).decode()
    first = json.loads(text.splitlines()[0])
    assert first["messages"][-1] == {"role": "assistant", "content": '{"a": 1}'}
    assert "Grüße 日本" in text


ASK, RIGHT = {"role": "user", "content": "no, again"}, {"role": "assistant", "content": "right", "weight": 1}


def test_a_weight_of_0_reaches_training(run, config_map, store, settings, tokenizer, read_learned):
    wrong = {"role": "assistant", "content": "WRONG ANSWER", "weight": 0}
    rows = [{"messages": [{"role": "user", "content": f"q{n}"}, wrong, ASK, RIGHT]} for n in range(40)]
    config_map(a="".join(json.dumps(row) + "\n" for row in rows))
    prepared = run().dataset
    storage.fetch_dataset(store, StorageURI.parse(prepared.uri), settings.work / "fetched", prepared.digest)
    for conversation in storage.read_split(settings.work / "fetched", Split.TRAIN):
        assert read_learned(tokenizer.encode_example(conversation)) == "right<|im_end|>"


def test_what_was_not_read_is_in_the_summary(run, config_map, jsonl, settings):
    rows = jsonl(60).replace('{"messages"', '{"id": 7, "messages"')
    config_map(a=rows + json.dumps({"prompt": "p", "completion": "c"}) + "\n", b="\n")
    (settings.sources_root / "tickets" / "README.md").write_text("about the data")
    result = run()
    assert result.dataset.ignored_keys == {"id": 60}
    expected = (
        "Source tickets: 1 file was not read, because its name does not end in .jsonl: README.md.",
        "1 file without records: tickets/b.jsonl.",
        "The formats are mixed: 60 Messages records and 1 PromptCompletion record.",
        "Keys that were not read: id (60 records).",
    )
    assert result.dataset.notes[:4] == expected
    assert all(note in f"{result.message}." for note in expected)
    (settings.sources_root / "tickets" / "README.md").unlink()
    assert run().dataset.notes[:3] == expected[1:], "files that are not read do not belong to the prepared data"


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/adapters/", "s3://bucket/adapters/datasets/a.jsonl"])
def test_a_source_that_overlaps_the_output_is_refused_before_anything_is_written(run, jsonl, store, uri):
    store.write(StorageURI.parse("s3://bucket/adapters/datasets/a.jsonl"), jsonl(60).encode())
    before = objects(store, "s3://bucket")
    with pytest.raises(TrainerError, match=f"source tickets: {uri} overlaps output.uri s3://bucket/adapters;") as error:
        run(dataset={"sources": [{"name": "tickets", "s3": {"uri": uri}}]})
    assert error.value.reason is Reason.SOURCE_OVERLAPS_OUTPUT
    assert objects(store, "s3://bucket") == before


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_ten_records_with_the_default_split(run, config_map, jsonl, start):
    config_map(a=jsonl(10, start=start))
    summary = run().dataset
    assert min(summary.train, summary.validation, summary.evaluation) >= 1
    assert any("instead of 5 %: " in note for note in summary.notes)


def test_a_hub_that_limits_its_requests_is_waited_for(
    store, settings, make_spec, use_tokenizer, config_map, jsonl, monkeypatch
):
    answers = [StorageError(StorageReason.UNREACHABLE, "HTTP 429: the Hub limits the rate of requests")] * 2

    def download(_source, folder, _patterns):
        if answers:
            raise answers.pop()
        (folder / "config.json").write_text("{}")
        return "c" * 40

    monkeypatch.setattr(base_model.hub, "download", download)
    config_map(a=jsonl(100))
    base = {
        **make_spec().to_wire()["baseModel"],
        "s3": None,
        "huggingFace": {"repository": "a/b", "revision": "c" * 40},
    }
    time = Time()
    patience = Patience(20, time.wait, time.clock)
    result = prepare(make_spec(baseModel=base), store, settings, ProgressBoard(), patience)
    assert (result.outcome, time.waits) == (Outcome.SUCCEEDED, [1, 2])


NO_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def use_template(use_tokenizer):
    def use(source):
        use_tokenizer.template = ChatTemplate(source, {})

    return use


def test_the_tokens_that_end_answers_are_in_the_summary(run, config_map, jsonl, store):
    config_map(a=jsonl(60))
    summary = run().dataset
    assert summary.stop_token_ids == (0xE002,)
    assert storage.find_manifest(store, StorageURI.parse(summary.uri)).manifest.summary.stop_token_ids == (0xE002,)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 1 / 0 }}", "tickets/a.jsonl:1: the chat template fails on it: ZeroDivisionError"),
        ("{{ raise_exception('no') }}", "tickets/a.jsonl:1: the chat template rejects it: no. Correct spec.training"),
        (NO_SYSTEM.replace("<|im_end|>", ""), "tickets/a.jsonl:1: message 2 (assistant): the last learned token, '0',"),
    ],
)
def test_a_template_that_fits_no_record_is_the_base_models_fault(
    run, config_map, jsonl, store, use_template, template, words
):
    use_template(template)
    config_map(a=jsonl(60))
    with pytest.raises(TrainerError) as error:
        run()
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE
    assert words in str(error.value)
    assert not objects(store, "s3://bucket/adapters/datasets")


def test_a_template_without_system_messages_is_reported_with_the_field(run, config_map, jsonl, use_template):
    use_template(NO_SYSTEM)
    config_map(a=jsonl(60))
    assert run().outcome is Outcome.SUCCEEDED
    with pytest.raises(TrainerError) as error:
        run(dataset={"sources": [{"name": "tickets", "configMap": True}], "systemPrompt": "Answer with JSON."})
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE
    assert "cannot be used with spec.dataset.systemPrompt: tickets/a.jsonl:1: dataset.systemPrompt is" in str(
        error.value
    )


def test_single_records_that_do_not_fit_are_invalid_with_file_and_line(run, config_map, jsonl, use_template):
    use_template(NO_SYSTEM)
    row = {"messages": [{"role": "system", "content": "s"}, ASK, {"role": "assistant", "content": "a"}]}
    config_map(a=jsonl(59) + json.dumps(row) + "\n")
    summary = run().dataset
    assert summary.skipped == 1
    assert summary.first_problems[0].startswith("tickets/a.jsonl:60: message 1 (system) is not completely in the text")


def test_answers_with_think_blocks_are_the_datas_fault(run, config_map, use_template):
    use_template(NO_SYSTEM.replace("m.content }}", "m.content.split('</think>')[-1] }}"))
    rows = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"<think>{n}</think>a"}]}
        for n in range(60)
    ]
    config_map(a="".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(TrainerError, match="60 of 60 records are invalid") as error:
        run()
    assert error.value.reason is Reason.INVALID_RECORDS
