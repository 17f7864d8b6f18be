"""The files of a run are JSONL: one object per line, text without escapes."""

from tunewright_contracts.storage_uri import StorageURI
from tunewright_trainer.run_folder import metrics_name, write_lines

URI = StorageURI.parse("s3://bucket/run/rows.jsonl")


def test_rows_are_lines(store):
    write_lines(store, URI, iter([{"text": "Grüße\n日本", "n": 1}, {}]))
    assert store.read(URI).decode() == '{"text": "Grüße\\n日本", "n": 1}\n{}\n'


def test_no_rows(store):
    write_lines(store, URI, [])
    assert store.read(URI) == b""


def test_each_attempt_has_its_own_metrics():
    assert metrics_name(1) == "metrics-1.jsonl" != metrics_name(2)
