"""The commands that Jobs run."""

import errno
import json

import pytest

from support.document_keys import KEY, OTHER_KEY
from tunewright_contracts.authentication.document_key import DocumentKind
from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.phase_result import PhaseResult
from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.__main__ import main


@pytest.fixture
def inspect(tmp_path, monkeypatch):
    """Run an inspection and return its exit code and result."""

    def run(command: str, request: dict) -> tuple[int, PhaseResult]:
        (tmp_path / "request.json").write_text(json.dumps(request))
        monkeypatch.setenv("TUNEWRIGHT_RUN_SPEC", str(tmp_path / "request.json"))
        monkeypatch.setenv("TUNEWRIGHT_TERMINATION_LOG", str(tmp_path / "result.json"))
        code = main([command])
        return code, PhaseResult.from_json((tmp_path / "result.json").read_bytes())

    return run


def test_upload_then_inspect(store, tmp_path, inspect, capsys):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert main(["upload", str(folder), "s3://bucket/models/m"]) == 0
    assert "s3://bucket/models/m/config.json (2 bytes)" in capsys.readouterr().out
    code, result = inspect("inspect-base-model", {"name": "m", "s3": {"uri": "s3://bucket/models/m"}})
    assert (code, result.outcome, result.base_model.files) == (0, "Succeeded", 2)


def test_a_failed_upload_shows_why(store, tmp_path, capsys):
    (tmp_path / "a").write_text("x")
    assert main(["upload", str(tmp_path), "s3://no-such-bucket/m"]) == 1
    assert "create the bucket" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"name": "m", "s3": {"uri": "s3://bucket/none"}}, "NotFound"),
        ({"name": "m", "s3": {"uri": "s3://bucket/../x"}}, "InvalidURI"),
        ({"s3": {"uri": "s3://bucket/x"}}, "InvalidRequest"),
    ],
)
def test_failed_inspection_is_a_result(store, inspect, request_, reason):
    code, result = inspect("inspect-base-model", request_)
    assert (code, result.outcome, result.reason) == (1, "Failed", reason)


def test_a_full_disk_is_a_retryable_result(store, inspect, monkeypatch):
    store.write(StorageURI.parse("s3://bucket/m/config.json"), b"{}")

    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tunewright_storage.object_store.ObjectStore.download", fill)
    code, result = inspect("inspect-base-model", {"name": "m", "s3": {"uri": "s3://bucket/m"}})
    assert (code, result.outcome, result.reason) == (1, "Retryable", "StorageError")
    assert "No space left on device" in result.message


def test_adapter_without_manifest(store, inspect):
    store.write(StorageURI.parse("s3://bucket/a/adapter_model.safetensors"), b"x")
    code, result = inspect("inspect-adapter", {"uri": "s3://bucket/a"})
    assert (code, result.reason) == (1, "NoManifest")


def test_a_document_is_verified_with_its_key(store, tmp_path, capsys):
    uri = StorageURI.parse("s3://bucket/report.json")
    (tmp_path / "key").write_text(KEY.to_text())
    (tmp_path / "other").write_text(OTHER_KEY.to_text())
    report = EvaluationReport(verdict="Pass", reason="EvaluationPassed", message="", candidate="a", report_uri=str(uri))
    other = StorageURI.parse("s3://bucket/other.json")
    for address in (uri, other):
        store.write(address, KEY.seal(DocumentKind.EVALUATION_REPORT, report))

    def verify(key, kind="EvaluationReport", address=str(uri)):
        return main(["verify", kind, str(tmp_path / key), address]), "".join(capsys.readouterr())

    assert verify("key") == (0, f"{uri} is authentic: a holder of the key {KEY.id} wrote it\n")
    assert verify("other") == (
        1,
        f"{uri} is not authentic: its authentication was made with another key than {OTHER_KEY.id}\n",
    )
    assert verify("key", address=str(other)) == (
        1,
        f"{other} is not authentic: it is the report for {uri}, copied to this address\n",
    )
    assert verify("key", "Checkpoint")[0] == 1
    assert verify("missing")[0] == 2
    assert verify("key", address="s3://bucket/none")[0] == 2
