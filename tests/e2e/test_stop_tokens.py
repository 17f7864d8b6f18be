"""The tokens that a training teaches to end answers with reach its scoring, the rollout's evaluation and the servers.

The base model here is `tiny` with another chat template: its answers end with the token that begins the next turn, as
in templates without a token for the end of a turn. The model's own files name another token, so without the taught one
an answer continues to its limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.harness import serving
from e2e.harness.base_models import build_base_model
from e2e.harness.bucket import Bucket
from e2e.harness.jobs import build_dataset, build_job, build_records
from e2e.harness.kubectl import Body, Kubectl, condition, is_false, is_true
from tunewright_dev.models import smollm2

pytestmark = pytest.mark.e2e

BASE = "tiny-turns"
ANSWER = "red"
(END, END_ID), (OWN_END, OWN_END_ID) = smollm2.BOS, smollm2.EOS
"""The token that ends the template's answers, and the one in the model's files."""
LIMIT = 12
"""The most tokens of an answer: many more than the right one has."""
TEMPLATE = smollm2.CHAT_TEMPLATE.replace(
    f"message['content'] + '{OWN_END}' }}}}{{% endgeneration %}}",
    f"message['content'] + '{END}' }}}}{{% endgeneration %}}",
)


@pytest.fixture
def base(platform: Kubectl) -> Iterator[Body]:
    """The base model. The pool serves its adapters because it has the files of `tiny`; prompts are the same, too."""
    assert TEMPLATE != smollm2.CHAT_TEMPLATE
    platform.apply(build_base_model(BASE, training={"chatTemplate": TEMPLATE}))
    yield platform.wait_for("basemodel", BASE, None, lambda found: is_true(found, "Ready"), timeout=180)
    platform.delete("basemodel", BASE, None, "--wait=false")


def test_answers_end_with_the_token_that_training_taught(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base: Body, base_digest: str
) -> None:
    assert base["status"]["digest"] == base_digest
    files = base["spec"]["source"]["s3"]["uri"]
    assert bucket.read_json(f"{files}/generation_config.json")["eos_token_id"] == OWN_END_ID

    # Training, and its scoring: an answer that continues is no exact match.
    job = build_job("taught", team, baseModelRef={"name": BASE})
    job["spec"]["training"] |= {"maxSteps": 40, "learningRate": "1e-2", "batchSize": 8, "checkpointSteps": 40}
    exact: Body = {"maxTokens": LIMIT, "metrics": [{"type": "ExactMatch", "minimum": "0"}]}
    job["spec"]["evaluation"] |= exact
    platform.apply(build_dataset("data", team, build_records(60, colours=[ANSWER])), job)
    job = platform.wait_for(
        "ftj", "taught", team, lambda body: is_true(body, "Succeeded") or is_false(body, "Succeeded"), timeout=420
    )
    assert is_true(job, "Succeeded"), condition(job, "Succeeded")
    prepared = bucket.read_json(f"{job['status']['dataset']['uri']}/manifest.json")
    assert prepared["summary"]["stopTokenIds"] == [END_ID]
    adapter = job["status"]["adapter"]
    assert bucket.read_json(f"{adapter['uri']}/manifest.json")["stopTokenIds"] == [END_ID]
    assert adapter["stopTokenIDs"] == [END_ID]
    assert float(job["status"]["evaluation"][0]["tuned"]) == 1

    # The rollout and its evaluation on the servers.
    serving.wait_ready(platform, pool)
    alias = f"e{team[5:]}"
    reference = {"fineTuneJobRef": {"name": "taught"}}
    evaluation = {"maxSamples": 8, **exact}
    platform.apply(serving.build_deployment(alias, team, pool, "", adapter=reference, evaluation=evaluation))
    body = platform.wait_for("adep", alias, team, serving.promoted(adapter["digest"]), timeout=240)
    assert body["status"]["stable"]["stopTokenIDs"] == [END_ID]
    (result,) = bucket.read_json(body["status"]["history"][0]["reportURI"])["metrics"]
    assert result["candidate"] == 1
    revision = body["status"]["stable"]["revision"]
    plan = serving.read_plan(platform, pool)
    assert {entry.name: entry.stop_token_ids for entry in plan.adapters}[revision] == (END_ID,)

    # Each request: the client does not name the token.
    for address in serving.pod_addresses(platform, pool).values():

        def ask(address: str = address, **options: Any) -> Body:
            response = serving.ask(address, alias, max_tokens=LIMIT, **options)
            assert response.status_code == 200, response.text
            (choice,) = response.json()["choices"]
            return dict(choice)

        answer = ask()
        assert (answer["message"]["content"], answer["finish_reason"]) == (ANSWER, "stop")
        assert answer.get("stop_reason") is None
        shown = ask(include_stop_str_in_output=True, skip_special_tokens=False)
        assert shown["message"]["content"] == ANSWER + END
        assert ask(ignore_eos=True)["finish_reason"] == "length"
