"""Credentials never leave the process: neither in messages nor in log lines, tracebacks or termination messages."""

import json
import logging
import subprocess
import sys
import urllib.parse

import pytest

from support.marked import CREDENTIALS, plant
from tunewright_storage.__main__ import main
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_storage.redaction import MASK, install, redact, redact_line


@pytest.fixture
def planted(monkeypatch):
    plant(monkeypatch)


@pytest.mark.parametrize("key", sorted(CREDENTIALS))
@pytest.mark.parametrize("form", [str, repr, json.dumps, lambda value: urllib.parse.quote(value, safe="")])
def test_each_value_is_removed_in_each_form(planted, key, form):
    text = redact(f"cannot connect with {form(CREDENTIALS[key])} at the endpoint")
    assert "MARKED" not in text
    assert MASK in text
    assert text.startswith("cannot connect with ")
    assert text.endswith(" at the endpoint")


@pytest.mark.parametrize(
    "text",
    [
        "Illegal header value b'Bearer MARKEDMARKEDMARKEDMARKED\\n'",
        "Invalid header value b'AWS4-HMAC-SHA256 Credential=MARKED/20260101/eu/s3, Signature=MARKED\\n'",
        "GET https://bucket.s3.test/a?X-Amz-Credential=MARKED%2F2026&X-Amz-Signature=MARKED&x=1",
        "https://cdn.test/a?Policy=MARKED__&Signature=MARKED-&Key-Pair-Id=K",
        "Failed to connect to proxy URL: http://MARKED:MARKED@proxy.test:3128",
        "token hf_MARKEDMARKEDMARKEDMARKED is invalid",
        "the key sk-tw-7Kp2mX9bT4cQ_MARKEDMARKEDMARKED was sent",
        "the token eyJhbGciOiJFZERTQSJ9.MARKEDMARKED.MARKED-MARKED is invalid",
        "the token eyJhbGciOiJFZERTQSJ9.MARKEDMARKED was cut",
    ],
)
def test_known_forms_are_removed_without_the_value_in_the_environment(text):
    assert "MARKED" not in redact(text)
    assert len(redact(text)) <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "cannot read s3://bucket/team: NoSuchKey; check that the object exists",
        "HTTP 401; put HF_TOKEN of an account that can read the model into the storage secret",
        'Could not connect to the endpoint URL: "https://s3.example:9000/bucket?list-type=2"',
        "training-tokens@2 and bearer of news",
    ],
)
def test_other_text_is_unchanged(text):
    assert redact(text) == text


def test_the_id_of_a_key_stays():
    assert redact("the key sk-tw-7Kp2mX9bT4cQ_MARKEDMARKED was sent") == f"the key sk-tw-7Kp2mX9bT4cQ_{MASK} was sent"


def test_a_short_value_may_be_a_word(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    assert redact("the admin must act") == "the admin must act"


def test_an_error_of_storage_has_no_credentials(planted):
    error = StorageError(StorageReason.OTHER, f"cannot use {CREDENTIALS['AWS_ENDPOINT_URL_S3']}")
    assert str(error) == "cannot use http://***@127.0.0.1:9"


def test_a_rendered_line_is_redacted(planted):
    assert redact_line(None, "info", json.dumps(CREDENTIALS)).count("MARKED") == 0


def test_logs_of_libraries_are_redacted(planted, caplog):
    install()
    install()
    try:
        raise RuntimeError(CREDENTIALS["HF_TOKEN"])
    except RuntimeError:
        logging.getLogger("library").warning("%s of %d", CREDENTIALS["AWS_SESSION_TOKEN"], 7, exc_info=True)
    assert "*** of 7" in caplog.text
    assert "MARKED" not in caplog.text


def test_a_message_that_is_not_text_reaches_its_formatter(caplog):
    install()
    logging.getLogger("library").warning({"event": "job_started"})
    assert caplog.records[-1].msg == {"event": "job_started"}


def test_a_traceback_that_ends_the_process_is_redacted(planted):
    code = (
        "from tunewright_storage import redaction; redaction.install();"
        "import os; raise RuntimeError(os.environ['HF_TOKEN'] + ' is wrong')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: *** is wrong" in done.stderr
    assert "MARKED" not in done.stderr


@pytest.mark.parametrize("broken", [{}, {"AWS_ACCESS_KEY_ID": "AKIA\nMARKED"}, {"AWS_REGION": "MARKED region"}])
@pytest.mark.parametrize(
    "request_", [{"name": "m", "s3": {"uri": "s3://bucket/m"}}, {"name": "m", "huggingFace": {"repository": "a/b"}}]
)
def test_an_inspection_writes_no_credentials(planted, monkeypatch, tmp_path, capfd, broken, request_):
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", _fail)
    for key, value in broken.items():
        monkeypatch.setenv(key, value)
    (tmp_path / "request.json").write_text(json.dumps(request_))
    monkeypatch.setenv("TUNEWRIGHT_RUN_SPEC", str(tmp_path / "request.json"))
    monkeypatch.setenv("TUNEWRIGHT_TERMINATION_LOG", str(tmp_path / "result.json"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert main(["inspect-base-model"]) == 1
    written = "".join([*capfd.readouterr(), (tmp_path / "result.json").read_text()])
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] in {"Failed", "Retryable"}
    assert "MARKED" not in written.replace("MARKED region", "")


def _fail(*_, **__):
    logging.getLogger("huggingface_hub").warning("header Bearer %s", CREDENTIALS["HF_TOKEN"])
    raise RuntimeError(f"Illegal header value b'Bearer {CREDENTIALS['HF_TOKEN']}\\n'")
