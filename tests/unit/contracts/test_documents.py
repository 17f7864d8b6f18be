"""Readers ignore unknown fields and refuse unreadable documents; messages fit into their limits."""

import json

import pytest

from tunewright_contracts.adapter_manifest import compute_adapter_digest, revision_name
from tunewright_contracts.document import ContractError
from tunewright_contracts.phase_result import MAX_TERMINATION_MESSAGE_BYTES, DatasetSummary, Outcome, PhaseResult
from tunewright_contracts.serving_plan import Route, ServingPlan, Target

DIGEST = "sha256:" + "0" * 64


def _plan(generation: int = 1, weight: int = 100) -> ServingPlan:
    route = Route(alias="support", namespace="team", targets=(Target(name="support--abc", weight=weight),))
    return ServingPlan(server_uid="uid", generation=generation, base_model_digest=DIGEST, routes=(route,))


def test_reader_ignores_fields_of_a_newer_writer():
    wire = _plan().to_wire() | {"fieldOfTomorrow": 1}
    assert ServingPlan.from_wire(wire) == _plan()


def test_reader_refuses_a_document_of_another_schema_version():
    wire = _plan().to_wire() | {"schemaVersion": 2}
    with pytest.raises(ContractError, match=r"ServingPlan: schemaVersion: .*reads version 1 only.* has version 2"):
        ServingPlan.from_wire(wire)


def test_wire_names_are_camel_case():
    assert set(json.loads(_plan().to_json())) == {
        "schemaVersion", "serverUid", "generation", "baseModelDigest", "adapters", "routes", "adapterSources",
    }  # fmt: skip


def test_unreadable_document_names_the_field():
    wire = _plan().to_wire() | {"generation": 0}
    with pytest.raises(ContractError, match=r"ServingPlan: generation: .*greater than or equal to 1"):
        ServingPlan.from_wire(wire)


def test_an_update_changes_only_the_named_fields():
    plan = _plan(generation=3)
    changed = plan.updated(generation=4)
    assert (changed.generation, changed.routes) == (4, plan.routes)
    assert plan.generation == 3
    assert changed == _plan(generation=4)


@pytest.mark.parametrize("name", ["generatoin", "serverUid"], ids=["misspelt", "the name on the wire"])
def test_an_update_refuses_an_unknown_field(name):
    with pytest.raises(TypeError, match=f"ServingPlan has no field {name}"):
        _plan().updated(**{name: 4})


def test_an_update_refuses_a_value_that_does_not_fit():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        _plan().updated(generation=0)


def test_content_hash_ignores_only_the_generation():
    assert _plan(generation=1).content_hash() == _plan(generation=7).content_hash()
    assert _plan(weight=100).content_hash() != _plan(weight=90).content_hash()


def test_adapter_digest_depends_on_names_and_contents_but_not_on_order():
    files = {"a": "sha256:1", "b": "sha256:2"}
    assert compute_adapter_digest(files) == compute_adapter_digest(dict(reversed(files.items())))
    assert compute_adapter_digest(files) != compute_adapter_digest({"a": "sha256:2", "b": "sha256:1"})


def test_adapter_digest_is_the_documented_one():
    # printf 'a\0sha256:1\nb\0sha256:2\n' | sha256sum
    assert compute_adapter_digest({"b": "sha256:2", "a": "sha256:1"}) == (
        "sha256:85ce39225bece3342919e51fc77e86dd188f01f528f09f9b096318a2062caa4c"
    )


def test_revision_name():
    assert revision_name("support", "sha256:3f9a2c1b7d0e" + "0" * 52) == "support--3f9a2c1b7d0e"


def test_termination_message_keeps_facts_and_shortens_texts():
    dataset = DatasetSummary(
        digest=DIGEST, uri="s3://bucket/d", train=1, validation=1, evaluation=1, first_problems=("x" * 500,) * 9
    )
    result = PhaseResult(outcome=Outcome.FAILED, reason="Reason", message="ü" * 5000, dataset=dataset)
    text = result.to_termination_message()
    assert len(text.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    read = PhaseResult.from_json(text)
    assert (read.reason, read.dataset.train, read.dataset.first_problems) == ("Reason", 1, ())
    assert read.message.endswith("…")
