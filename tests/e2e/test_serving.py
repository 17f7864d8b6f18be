"""A pool of real vLLM replicas: adapters are loaded, routed, refused and replaced while clients send requests."""

from __future__ import annotations

import json

import httpx
import pytest

from e2e.harness import adapters, serving
from e2e.harness.bucket import Bucket
from e2e.harness.kubectl import Body, Kubectl, condition, is_true, wait_until
from tunewright_contracts.serving_plan import AdapterEntry
from tunewright_dev import paths, tenants
from tunewright_dev.kubectl import Kubectl as DevKubectl

pytestmark = pytest.mark.e2e


def test_alias_is_answered_by_its_revision_on_every_replica(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"a{team[5:]}"
    _, revision = serving.deploy(platform, bucket, pool, team, base_digest, 1, alias)
    for address in serving.pod_addresses(platform, pool).values():
        response = serving.ask(address, alias)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == alias
        assert response.headers["x-tunewright-revision"] == revision
        listed = serving.list_models(address).json()["data"]
        assert alias in {item["id"] for item in listed}
        assert not [item for item in listed if "--" in item["id"] or item["id"] == "tiny"]
        assert f'revision="{revision}"' in httpx.get(f"{address}/metrics", trust_env=False).text


def test_streamed_answers_carry_the_alias(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"s{team[5:]}"
    serving.deploy(platform, bucket, pool, team, base_digest, 2, alias)
    response = serving.ask(serving.service_address(platform, pool), alias, stream=True)
    chunks = [
        json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: {")
    ]
    assert chunks
    assert {chunk["model"] for chunk in chunks} == {alias}


def test_batch_of_several_adapters_and_the_base_model_is_computed_as_each_row_alone(
    platform: Kubectl, pool: str
) -> None:
    """vLLM's own CPU operations give rows of the base model the adapter in the last slot (vllm-project/vllm#48421)."""
    pod = min(serving.pod_addresses(platform, pool))
    assert "Using GroupedPunicaWrapper" in platform.run("logs", pod, "-n", pool).stdout
    comparison = (paths.find_paths().clone / "bench" / "cpu_lora.py").read_text()
    report = json.loads(
        platform.run("exec", "-i", pod, "-n", pool, "--", "python", "-", stdin=comparison).stdout.splitlines()[-1]
    )
    assert report["class"] == "GroupedPunicaWrapper"
    assert 0 < report["rowsWithoutAdapter"] < report["rows"]
    assert report["largestChangeWithoutAdapter"]["ours"] == 0
    # Outputs are of the order of 1 and have 8 bits of precision.
    assert report["largestDifference"] < 0.05


def test_requests_that_are_refused(platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str) -> None:
    alias = f"r{team[5:]}"
    _, revision = serving.deploy(platform, bucket, pool, team, base_digest, 3, alias)
    address = serving.service_address(platform, pool)
    assert serving.ask(address, revision).status_code == 404
    assert serving.ask(address, "tiny").status_code == 404
    assert serving.ask(address, "unknown").status_code == 404

    def post(path: str = "/v1/chat/completions", content: bytes | str = b"{}", **headers: str) -> httpx.Response:
        return httpx.post(
            address + path,
            content=content,
            headers={"content-type": "application/json", **serving.authorize(serving.KEY), **headers},
            timeout=60,
            trust_env=False,
        )

    two_models = f'{{"model": "{alias}", "model": "{revision}", "messages": []}}'
    assert post(content=two_models).status_code == 400
    assert post(content=b"x" * (2 << 20)).status_code == 413
    assert post(**{"content-type": "text/plain"}).status_code == 415
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/invocations", "/tokenize", "/adapters"):
        assert post(path).status_code == 404, path
    evaluation = httpx.post(
        f"{address}/v1/chat/completions",
        json={"model": alias, "messages": [{"role": "user", "content": "x"}]},
        headers={"x-tunewright-evaluate": "base-model"},
        trust_env=False,
    )
    assert evaluation.status_code == 401


BROKEN = {
    "NonFiniteWeights": (
        "train again with a lower learningRate",
        {"tensors": {key: value * float("nan") for key, value in adapters.build_tensors(10).items()}},
    ),
    "ShapeMismatch": ("train it on this base model", {"tensors": adapters.build_tensors(11, hidden=32)}),
    "DigestMismatch": (
        "publish the adapter again",
        {"edit_weights": lambda data: data[:-1] + bytes([data[-1] ^ 1])},
    ),
    "BaseModelMismatch": (
        "train it again on this server's base model",
        {"edit_manifest": lambda manifest: manifest["baseModel"].update(digest="sha256:" + "e" * 64)},
    ),
    "ForbiddenFile": (
        "publish the adapter again without",
        {
            "edit_manifest": lambda manifest: manifest["files"].append(
                {"path": "adapter_model.bin", "sha256": "sha256:" + "f" * 64, "size": 1}
            )
        },
    ),
    "NoManifest": ("that a FineTuneJob published", {"with_manifest": False}),
    "RankTooHigh": ("Train with a lower rank", {"rank": 32}),
}
"""By reason: the remedy in the message, and the damage."""


def test_broken_adapters_are_refused_with_reason_and_remedy(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    for seed, (reason, (remedy, damage)) in enumerate(BROKEN.items(), start=20):
        uri = adapters.publish(bucket, team, base_digest, seed, held_out=serving.HELD_OUT, **damage)
        # One after the other, because the pool has few slots.
        platform.apply(serving.build_deployment("broken", team, pool, uri))

        def reported(body: Body, reason: str = reason, remedy: str = remedy) -> bool:
            conditions = body.get("status", {}).get("conditions", ())
            texts = [f"{item['reason']} {item['message']}" for item in conditions]
            return any(reason in text and remedy in text for text in texts)

        body = platform.wait_for("adep", "broken", team, reported, timeout=120)
        assert "stable" not in body["status"]
        assert serving.ask(serving.service_address(platform, pool), "broken").status_code in {404, 503}
        platform.delete("adep", "broken", team)


def test_adapter_of_another_team_is_not_served(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    uri = adapters.publish(bucket, "team-of-others", base_digest, 40, held_out=serving.HELD_OUT)
    platform.apply(serving.build_deployment("thief", team, pool, uri))
    body = platform.wait_for(
        "adep", "thief", team, lambda body: condition(body, "Ready").get("reason") == "SourceNotAllowed", timeout=120
    )
    assert "adapterSources" in condition(body, "Ready")["message"]
    server = platform.get("modelserver", serving.NAME, pool)
    assert server is not None
    assert serving.revision_of("thief", uri) not in json.dumps(server["status"])


def test_contract_that_is_no_schema_is_refused_with_its_position(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    uri = adapters.publish(bucket, team, base_digest, 42, held_out=serving.HELD_OUT)
    contract = {"jsonSchema": {"properties": {"queue": {"type": 7}}}}
    platform.apply(serving.build_deployment("unclear", team, pool, uri, outputContract=contract))
    body = platform.wait_for(
        "adep",
        "unclear",
        team,
        lambda body: condition(body, "Stalled").get("reason") == "InvalidOutputContract",
        timeout=120,
    )
    assert (
        "outputContract.jsonSchema: it is not a JSON Schema: at .properties.queue.type"
        in condition(body, "Stalled")["message"]
    )
    platform.delete("adep", "unclear", team)


def test_pod_refuses_another_teams_adapter_even_from_a_signed_plan(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    """The pod checks namespace and source too, in case the operator signs a wrong plan."""
    alias = f"p{team[5:]}"
    _, revision = serving.deploy(platform, bucket, pool, team, base_digest, 43, alias)
    foreign = adapters.publish(bucket, "team-of-others", base_digest, 44, held_out=serving.HELD_OUT)
    with serving.operator_down(platform):
        plan = serving.read_plan(platform, pool)
        stolen = AdapterEntry(
            name=serving.revision_of(alias, foreign),
            digest=serving.digest_of(foreign),
            uri=foreign,
            rank=adapters.RANK,
            namespace=team,
        )
        forged = plan.model_copy(update={"generation": plan.generation + 1, "adapters": (*plan.adapters, stolen)})
        serving.push_signed(platform, pool, forged)

        def refused() -> bool:
            states = serving.read_states(platform, pool)
            found = [item for state in states for item in state.adapters if item.name == stolen.name]
            return len(found) == 2 and all(item.reason == "SourceNotAllowed" for item in found)

        wait_until(refused, timeout=60, describe=lambda: repr(serving.read_states(platform, pool)))
        for address in serving.pod_addresses(platform, pool).values():
            assert serving.ask(address, alias).headers["x-tunewright-revision"] == revision
    generation = forged.generation
    wait_until(lambda: serving.read_plan(platform, pool).generation > generation, timeout=120)


def test_second_deployment_of_an_alias_is_refused(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"t{team[5:]}"
    uri, revision = serving.deploy(platform, bucket, pool, team, base_digest, 41, alias)
    second = serving.build_deployment("second", team, pool, uri, modelName=alias)
    platform.apply(second)
    body = platform.wait_for(
        "adep", "second", team, lambda body: condition(body, "Ready").get("reason") == "AliasTaken", timeout=120
    )
    assert alias in condition(body, "Ready")["message"]
    assert serving.ask(serving.service_address(platform, pool), alias).headers["x-tunewright-revision"] == revision


def test_server_that_is_missing_or_not_allowed(
    platform: Kubectl, pool: str, team: str, dev_kubectl: DevKubectl
) -> None:
    uri = f"s3://tunewright/adapters/{team}/sha256-{'a' * 64}"
    platform.apply(serving.build_deployment("missing", team, "nowhere", uri))
    platform.wait_for(
        "adep", "missing", team, lambda body: condition(body, "Ready").get("reason") == "ServerNotFound", timeout=60
    )
    stranger = f"stranger-{team[5:]}"
    tenants.ensure_namespace(dev_kubectl, stranger)
    tenants.ensure_storage_secret(dev_kubectl, stranger, "s3", "trainer")
    try:
        platform.apply(serving.build_deployment("refused", stranger, pool, uri))
        platform.wait_for(
            "adep",
            "refused",
            stranger,
            lambda body: condition(body, "Ready").get("reason") == "ServerNotAllowed",
            timeout=60,
        )
    finally:
        platform.run("delete", "namespace", stranger, "--wait=false")


def test_killed_replica_serves_the_same_plan_with_the_operator_down(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"k{team[5:]}"
    _, revision = serving.deploy(platform, bucket, pool, team, base_digest, 50, alias)
    with serving.operator_down(platform):
        before = serving.pod_addresses(platform, pool)
        victim = min(before)
        platform.run("delete", "pod", victim, "-n", pool, "--grace-period=0", "--force")

        def replaced() -> bool:
            fresh = {
                name: address for name, address in serving.pod_addresses(platform, pool).items() if name not in before
            }
            return bool(fresh) and all(serving.is_ready(address) for address in fresh.values())

        wait_until(replaced, timeout=300)
        for address in serving.pod_addresses(platform, pool).values():
            assert serving.ask(address, alias).headers["x-tunewright-revision"] == revision


def test_new_pod_template_replaces_pods_without_a_failed_request(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"u{team[5:]}"
    _, revision = serving.deploy(platform, bucket, pool, team, base_digest, 51, alias)
    before = set(serving.pod_addresses(platform, pool))
    with serving.Traffic(serving.service_address(platform, pool), alias, clients=1, pause=0.2) as traffic:
        platform.patch("modelserver", serving.NAME, pool, {"spec": {"resources": {"requests": {"memory": "1100Mi"}}}})

        def all_replaced(body: Body) -> bool:
            pods = {pod["name"] for pod in body["status"]["pods"] if pod["ready"]}
            return len(pods) == 2 and not pods & before and is_true(body, "Ready")

        platform.wait_for("modelserver", serving.NAME, pool, all_replaced, timeout=600)
    assert traffic.failures() == []
    assert traffic.revisions() == {revision}
    assert len(traffic.answers) > 20
