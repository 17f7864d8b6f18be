"""The operator's settings from its environment."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tunewright_operator.__main__ import main
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, OWN_KINDS
from tunewright_operator.settings import Settings

REQUIRED = {"NAMESPACE": "sys", "OPERATOR_IMAGE": "o:1", "TRAINER_IMAGE": "t:1", "SERVER_IMAGE": "s:1"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"TUNEWRIGHT_{name}", value)


def test_the_variables_that_the_chart_sets_suffice():
    settings = Settings()
    assert settings.pod_defaults.trainer == "t:1"
    assert settings.image_pull_policy == "IfNotPresent"
    assert settings.pod_name


def test_pull_secrets_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TUNEWRIGHT_IMAGE_PULL_SECRETS", "a, b")
    assert Settings().pod_defaults.pull_secrets == ("a", "b")


@pytest.mark.parametrize(
    ("text", "watched"), [("", ()), ("support,serving", ("serving", "support", "sys")), ("sys", ("sys",))]
)
def test_the_operators_own_namespace_is_always_watched(
    monkeypatch: pytest.MonkeyPatch, text: str, watched: tuple[str, ...]
):
    monkeypatch.setenv("TUNEWRIGHT_NAMESPACES", text)
    assert Settings().watched_namespaces == watched


def test_each_kind_has_its_workers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TUNEWRIGHT_WORKERS", '{"fineTuneJob": 3}')
    workers = Settings().workers.by_kind()
    assert workers.keys() == set(OWN_KINDS)
    assert [workers[kind] for kind in (FINE_TUNE_JOB, ADAPTER_DEPLOYMENT, MODEL_SERVER, BASE_MODEL)] == [3, 8, 8, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGE_PULL_POLICY", "Sometimes"),
        ("WORKERS", '{"modelServer": 0}'),
        ("WORKERS", "many"),
        ("WORKERS", '{"pod": 1}'),
        ("DEFAULT_RESOURCES", '{"job": {"limits": {"memory": "much"}}}'),
        ("DEFAULT_RESOURCES", '{"prepare": {}}'),
        ("ALLOWED_SCHEDULING", '{"priorityClass": ["x"]}'),
        ("API_REQUESTS_PER_SECOND", "0"),
        ("API_BURST", "0"),
        ("NAMESPACE", ""),
    ],
)
def test_invalid_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"TUNEWRIGHT_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_the_command_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv("TUNEWRIGHT_TRAINER_IMAGE")
    with pytest.raises(SystemExit):
        main(["run"])
    assert "TUNEWRIGHT_TRAINER_IMAGE: Field required" in capsys.readouterr().err
