"""The program as a Job runs it: every failure ends in a termination message."""

import pytest

from support import marked
from support.document_keys import KEY
from support.worlds.evaluation_world import CANDIDATE, Store, request_for
from tunewright_contracts.evaluation_report import ArmAnswers, EvaluationReport
from tunewright_contracts.phase_result import MAX_TERMINATION_MESSAGE_BYTES
from tunewright_contracts.stored_answers import AnswerRecord
from tunewright_evaluator import __main__ as program
from tunewright_storage.errors import StorageError, StorageReason


class Refusing(Store):
    def read(self, uri, _max_bytes):
        raise StorageError(StorageReason.ACCESS_DENIED, f"cannot read {uri}")


class Failing(Store):
    def read(self, _uri, _max_bytes):
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("store", "changes", "reason"),
    [
        (Refusing(), {}, "AccessDenied"),
        (Failing(), {}, "InternalError"),
        (Store(), {"datasetUri": "s3://bucket/../x"}, "InvalidURI"),
        (Store(), {"metrics": [{"type": "JSONSchema", "schema": {"type": "objekt"}}]}, "InvalidMetric"),
    ],
)
def test_the_termination_message_has_the_reason_of_a_failure(tmp_path, monkeypatch, token, store, changes, reason):
    (tmp_path / "request.json").write_text(request_for(**changes).to_json())
    code, report = run_program(tmp_path, monkeypatch, token, store)
    assert (code, report.verdict, report.reason) == (1, "Error", reason)


def test_no_credential_is_written(tmp_path, monkeypatch, token, capfd):
    class Quoting(Store):
        def read(self, _uri, _max_bytes):
            raise RuntimeError(marked.quote_all())

    marked.plant(monkeypatch)
    (tmp_path / "request.json").write_text(request_for().to_json())
    code, report = run_program(tmp_path, monkeypatch, token, Quoting())
    assert (code, report.reason) == (1, "InternalError")
    assert marked.MARK not in "".join([*capfd.readouterr(), (tmp_path / "result.json").read_text()])


def test_a_request_that_is_missing_or_unreadable(tmp_path, monkeypatch, token):
    code, report = run_program(tmp_path, monkeypatch, token, Store())
    assert (code, report.reason) == (1, "InvalidRequest")
    (tmp_path / "request.json").write_text("{}")
    code, report = run_program(tmp_path, monkeypatch, token, Store())
    assert (code, report.reason) == (1, "InvalidRequest")


def test_a_damaged_key_is_reported_without_its_content(tmp_path, monkeypatch, token):
    (tmp_path / "request.json").write_text(request_for().to_json())
    code, report = run_program(tmp_path, monkeypatch, token, Store(), key="c2hvcnQ=")
    assert (code, report.reason, report.candidate) == (1, "InvalidRequest", CANDIDATE)
    assert "it has 5 bytes instead of 32" in report.message
    assert "c2hvcnQ" not in report.message


def test_the_termination_message_is_kept_short():
    report = EvaluationReport(verdict="Fail", reason="EvaluationFailed", message="é" * 9000, candidate=CANDIDATE)
    text = program.to_termination_message(report)
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    assert EvaluationReport.from_json(text).verdict == "Fail"


def test_long_addresses_do_not_make_it_too_long():
    stored = AnswerRecord(target="base-model", key="sha256:" + "a" * 64, digest="sha256:" + "b" * 64, answers=400)
    arms = [ArmAnswers(target=name, asked=1, note="s3://" + "x" * 1000, stored=stored) for name in ("a", "b", "c")]
    report = EvaluationReport(
        verdict="Pass",
        reason="EvaluationPassed",
        message="m",
        candidate=CANDIDATE,
        report_uri="s3://bucket/" + "y" * 1000,
        arms=arms,
    )
    text = program.to_termination_message(report)
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    assert [arm.stored for arm in EvaluationReport.from_json(text).arms] == [stored] * 3
    long = report.updated(report_uri="s3://bucket/" + '"' * 1000, arms=arms * 4)
    text = program.to_termination_message(long)
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    assert EvaluationReport.from_json(text).arms == ()


def run_program(folder, monkeypatch, token, store, key=None):
    monkeypatch.setenv("TUNEWRIGHT_EVALUATION_REQUEST", str(folder / "request.json"))
    monkeypatch.setenv("TUNEWRIGHT_DOCUMENT_KEY", str(folder / "key"))
    (folder / "key").write_text(KEY.to_text() if key is None else key)
    monkeypatch.setenv("TUNEWRIGHT_TOKEN", str(token))
    monkeypatch.setenv("TUNEWRIGHT_TERMINATION_LOG", str(folder / "result.json"))
    monkeypatch.setenv("TUNEWRIGHT_PROGRESS_PORT", "0")
    monkeypatch.setattr(program.ObjectStore, "from_environment", lambda: store)
    return program.main(), EvaluationReport.from_json((folder / "result.json").read_bytes())
