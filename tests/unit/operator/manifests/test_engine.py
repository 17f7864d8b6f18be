"""The identity of a server's engine: what changes it, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_contracts.locations import BaseModelSource, S3Source
from tunewright_contracts.server_config import ServerConfig
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.manifests.engine import WITHOUT_EFFECT, identify_engine

BASE = BaseModelSource(name="tiny", digest="sha256:" + "b" * 64, context_length=64)
CONFIG = ServerConfig(
    server_uid="u",
    namespace="serving",
    name="pool",
    base_model=BASE,
    served_base_name="tiny",
    max_rank=16,
    max_adapters=8,
    rollout_slots=4,
    max_active_adapters=8,
    max_model_length=64,
)
OTHERS: dict[str, Any] = {
    "server_uid": "v",
    "namespace": "other",
    "name": "other",
    "base_model": BASE.updated(digest="sha256:" + "c" * 64),
    "served_base_name": "small",
    "max_rank": 32,
    "max_adapters": 9,
    "rollout_slots": 5,
    "max_active_adapters": 2,
    "max_model_length": 128,
    "dtype": "Float16",
    "adapter_load_timeout_seconds": 60,
    "max_request_bytes": 1,
}


def make_server(**spec: Any) -> ModelServer:
    wanted = {"baseModelRef": {"name": "tiny"}, "storage": {"secretRef": {"name": "s3"}}, **spec}
    return ModelServer.from_body({"metadata": {"name": "pool", "namespace": "serving"}, "spec": wanted})


def identify(config: ServerConfig = CONFIG, image: str = "server:1", **spec: Any) -> str:
    return identify_engine(make_server(**spec), config, image)


def test_every_field_of_the_configuration_has_a_row() -> None:
    assert OTHERS.keys() | {"schema_version"} == ServerConfig.model_fields.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_a_field_of_the_configuration_changes_it_unless_it_has_no_effect(name: str) -> None:
    field = ServerConfig.model_fields[name].alias
    changed = identify(CONFIG.updated(**{name: OTHERS[name]})) != identify()
    assert changed == (field not in WITHOUT_EFFECT)


@pytest.mark.parametrize(
    "other",
    [
        identify(image="server:2"),
        identify(image="server@sha256:1"),
        identify(CONFIG.updated(base_model=BASE.updated(chat_template="{{ messages }}"))),
        identify(resources={"limits": {"nvidia.com/gpu": 1}}),
        identify(scheduling={"nodeSelector": {"gpu": "h100"}}),
    ],
)
def test_image_template_and_accelerator_change_it(other: str) -> None:
    assert other != identify()


@pytest.mark.parametrize(
    "same",
    [
        identify(),
        identify(replicas=5),
        identify(CONFIG.updated(base_model=BASE.updated(s3=S3Source(uri="s3://elsewhere/tiny"), name="copy"))),
        identify(evaluations={"maxSharePercent": 10}),
        identify(updateStrategy={"maxSurge": 1}),
        identify(structuredOutputs="Allowed"),
    ],
)
def test_what_changes_no_answer_does_not_change_it(same: str) -> None:
    assert same == identify()
