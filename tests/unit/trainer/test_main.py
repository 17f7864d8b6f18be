"""The program in a pod: a run document in, a termination message and an exit code out."""

import json
import logging
import os
import signal
import subprocess
import sys

import pytest

from support import marked
from tunewright_trainer import __main__ as program


@pytest.fixture
def environment(tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "TUNEWRIGHT_RUN_SPEC": str(tmp_path / "run.json"),
        "TUNEWRIGHT_DOCUMENT_KEY": str(tmp_path / "key"),
        "TUNEWRIGHT_TERMINATION_LOG": str(tmp_path / "termination-log"),
        "TUNEWRIGHT_SOURCES_ROOT": str(tmp_path / "sources"),
        "TUNEWRIGHT_WORK": str(tmp_path / "work"),
        "TUNEWRIGHT_PROGRESS_PORT": "0",
        "TUNEWRIGHT_STORAGE_PATIENCE_SECONDS": "0",
        "HF_HUB_OFFLINE": "",
    }.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(program.ObjectStore, "from_environment", lambda: store)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before[0])
    signal.signal(signal.SIGTERM, before[1])


def result(folder):
    return json.loads((folder / "termination-log").read_text())


def test_prepare(environment, make_spec, jsonl, use_tokenizer, store):
    from tunewright_contracts.storage_uri import StorageURI

    store.write(StorageURI.parse("s3://bucket/models/tiny/config.json"), b"{}")
    (environment / "sources" / "tickets").mkdir(parents=True)
    (environment / "sources" / "tickets" / "a.jsonl").write_text(jsonl(100))
    (environment / "run.json").write_text(make_spec().to_json())
    assert program.main(["prepare"]) == 0
    assert result(environment)["reason"] == "Prepared"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["UNSLOTH_DISABLE_STATISTICS"] == "1"


def test_a_user_error(environment, make_spec):
    (environment / "run.json").write_text(make_spec().to_json())
    assert program.main(["prepare"]) == 1
    assert (result(environment)["outcome"], result(environment)["reason"]) == ("Failed", "DatasetNotFound")


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot read"), ("{}", "job: Field required"), ("nonsense", "Invalid JSON")]
)
def test_a_bad_document(environment, text, message):
    if text is not None:
        (environment / "run.json").write_text(text)
    assert program.main(["train"]) == 1
    assert result(environment)["reason"] == "InvalidRunSpec"
    assert message in result(environment)["message"]
    assert "run.json" in result(environment)["message"]


@pytest.mark.parametrize(("key", "problem"), [(None, "No such file"), ("c2hvcnQ=", "it has 5 bytes instead of 32")])
def test_a_training_without_a_usable_key(environment, make_spec, key, problem):
    (environment / "run.json").write_text(make_spec().to_json())
    if key is not None:
        (environment / "key").write_text(key)
    assert program.main(["train"]) == 1
    assert result(environment)["reason"] == "InvalidRunSpec"
    assert problem in result(environment)["message"]


def test_an_unexpected_failure_leaves_its_last_log_lines(environment, make_spec, monkeypatch):
    def fail(*_):
        raise LookupError("an unexpected error")

    monkeypatch.setattr("tunewright_trainer.prepare.phase.prepare", fail)
    (environment / "run.json").write_text(make_spec().to_json())
    assert program.main(["prepare"]) == 1
    assert (result(environment)["outcome"], result(environment)["reason"]) == ("Retryable", "InternalError")
    assert "LookupError: an unexpected error (at test_main.py" in result(environment)["message"]


def test_preparing_needs_no_training_library():
    """A CPU-only pod starts in a second, because no heavy library is imported, even if it is installed."""
    code = (
        "import sys; "
        "import tunewright_trainer.__main__, tunewright_trainer.prepare.phase, tunewright_trainer.train.phase;"
        "heavy = ('torch', 'transformers', 'unsloth', 'trl', 'peft', 'datasets');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError])
def test_no_credential_is_written(environment, make_spec, monkeypatch, capfd, error):
    marked.plant(monkeypatch)

    def fail(*_):
        logging.getLogger("library").warning("sent %s", marked.quote_all())
        raise error(marked.quote_all())

    monkeypatch.setattr("tunewright_trainer.prepare.phase.prepare", fail)
    (environment / "run.json").write_text(make_spec().to_json())
    assert program.main(["prepare"]) == 1
    written = "".join([*capfd.readouterr(), (environment / "termination-log").read_text()])
    assert result(environment)["reason"] == "InternalError"
    assert marked.MARK not in written
