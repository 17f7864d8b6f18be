"""The pod's numbers in the `/metrics` of vLLM."""

from support.worlds.server_world import chat

CHAT = "/v1/chat/completions"


async def test_prometheus_shows_the_same_numbers(pod):
    from prometheus_client import REGISTRY, generate_latest

    await pod.client.post(CHAT, json=chat())
    await pod.client.post(CHAT, json=chat(model="unknown"))
    await pod.counted(1)
    text = generate_latest(REGISTRY).decode()
    labels = f'alias="support",revision="{pod.stable.name}"'
    assert f"tunewright_answers_total{{{labels}}} 1.0" in text
    assert (
        f'tunewright_bad_answers_total{{alias="support",metric="ErrorRate",revision="{pod.stable.name}"}} 0.0' in text
    )
    assert f"tunewright_requests_total{{{labels}}} 1.0" in text
    assert f"tunewright_abandoned_requests_total{{{labels}}} 0.0" in text
    assert f"tunewright_overloaded_requests_total{{{labels}}} 0.0" in text
    assert f"tunewright_unchecked_answers_total{{{labels}}} 0.0" in text
    assert f"tunewright_answer_seconds_count{{{labels}}} 1.0" in text
    assert 'tunewright_refused_requests_total{code="model_not_found"} 1.0' in text
    assert f'tunewright_adapter_phase{{phase="Loaded",revision="{pod.stable.name}"}} 1.0' in text
    assert "tunewright_plan_generation 1.0" in text
    assert "tunewright_places 64.0" in text
    assert "tunewright_evaluation_requests_in_flight 0.0" in text
    assert "tunewright_evaluation_requests_limit 32.0" in text
