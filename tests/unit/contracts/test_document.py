"""Readers ignore unknown fields and refuse unreadable documents; messages fit into their limits."""

import json

import pytest

from tunewright_contracts.document import ContractError
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
    with pytest.raises(ContractError, match=r"ServingPlan: schemaVersion: .*reads only version 1.* has version 2"):
        ServingPlan.from_wire(wire)


def test_the_hash_of_a_changed_copy_is_not_that_of_the_original():
    plan = _plan()
    assert plan.content_hash == _plan().content_hash
    for changed in (plan.updated(routes=()), plan.model_copy(update={"routes": ()})):
        assert changed.content_hash == _plan().updated(routes=()).content_hash != plan.content_hash
    assert plan == _plan(), "a document whose hash is known equals one whose hash is not"


def test_wire_names_are_camel_case():
    assert set(json.loads(_plan().to_json())) == {
        "schemaVersion", "serverUid", "generation", "baseModelDigest", "adapters", "routes", "adapterSources",
            "evaluationSharePercent",
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
