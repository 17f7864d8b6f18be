"""The example's manifests: the original files if nothing changes, otherwise copies that the API server accepts."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from support.crds.schema import read_crds, root_schema
from tunewright_dev.demo import manifests, setting
from tunewright_dev.demo.manifests import Manifests
from tunewright_dev.demo.timing.sizes import derive_sizes
from tunewright_dev.paths import find_paths

CLONE = find_paths().clone
EXAMPLE = CLONE / "examples" / "support-triage"
DEPLOYMENT, SERVER, JOB = "adapter-deployment.yaml", "platform/model-server.yaml", "jobs/1-first.yaml"
SLOW = derive_sizes(10, 80)


def render(tmp_path, name, sizes=None, cores=None):
    path = Manifests(CLONE, EXAMPLE, tmp_path, cores).render(name, sizes)
    return path, manifests.read(CLONE / path)


@pytest.mark.parametrize("name", [*setting.PLATFORM, DEPLOYMENT, JOB])
def test_an_unchanged_manifest_is_the_examples_file(tmp_path, name):
    path, _ = render(tmp_path, name)
    assert path == f"examples/support-triage/{name}"
    assert list(tmp_path.iterdir()) == []


def test_the_sizes_of_the_example_change_nothing(tmp_path):
    """On the reference machine, the demo uses the same sizes as the tutorial."""
    path, body = render(tmp_path, DEPLOYMENT, derive_sizes(75, 75))
    assert path == f"examples/support-triage/{DEPLOYMENT}", body["spec"]["rollout"]


def test_only_the_sizes_of_steps_and_bake_change(tmp_path):
    path, body = render(tmp_path, DEPLOYMENT, SLOW)
    assert (CLONE / path).resolve() == (tmp_path / DEPLOYMENT).resolve()
    original = manifests.read(EXAMPLE / DEPLOYMENT)
    window = {"minRequests": SLOW.min_requests, "maxSeconds": SLOW.max_seconds}
    rollout = original["spec"]["rollout"]
    rollout["steps"] = [{"observe": window} if "observe" in step else step for step in rollout["steps"]]
    rollout["bakeSeconds"] = SLOW.bake_seconds
    assert body == original


def test_half_of_two_cores_is_half_a_core_for_each_replica(tmp_path):
    _, body = render(tmp_path, SERVER, cores=1.0)
    original = manifests.read(EXAMPLE / SERVER)["spec"]["resources"]
    assert body["spec"]["resources"] == {
        "limits": {**original["limits"], "cpu": "500m"},
        "requests": {**original["requests"], "cpu": "10m"},
    }


@pytest.mark.parametrize(("cores", "limit", "requested"), [(1.0, "1000m", "1000m"), (0.4, "400m", "400m")])
def test_the_requests_of_a_trainer_stay_within_its_limit(tmp_path, cores, limit, requested):
    _, body = render(tmp_path, JOB, cores=cores)
    resources = body["spec"]["resources"]
    assert (resources["limits"]["cpu"], resources["requests"]["cpu"]) == (limit, requested)
    assert resources["limits"]["memory"] == "4Gi"


@pytest.mark.parametrize(("name", "sizes"), [(DEPLOYMENT, SLOW), (SERVER, None), (JOB, None)])
def test_a_copy_is_plain_yaml_that_the_definitions_allow(tmp_path, name, sizes):
    path, body = render(tmp_path, name, sizes, cores=0.5)
    text = (CLONE / path).read_text()
    assert "&id" not in text
    assert yaml.safe_load(text) == body
    jsonschema.validate(body, root_schema(read_crds()[body["kind"]]))


@pytest.mark.parametrize(("quantity", "cores"), [("2", 2), ("1500m", 1.5), ("0.5", 0.5)])
def test_quantities_of_cores(quantity, cores):
    assert manifests.parse_cores(quantity) == cores


def test_every_manifest_of_the_platform_is_applied():
    assert {f"platform/{path.name}" for path in (EXAMPLE / "platform").glob("*.yaml")} == set(setting.PLATFORM)
