"""A client sends by header what it cannot send as a field."""

from support.worlds.server_world import CLIENT_KEY

CHAT = "/v1/chat/completions"
BODY = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}


async def test_vllm_gets_no_header_that_it_obeys(pod):
    attack = {
        "x-vllm-priority": "-1000",
        "x-session-id": "the-session-of-another-client",
        "x-data-parallel-rank": "7",
        "x-request-id": "the-request-of-another-client",
        "endpoint-load-metrics-format": "json",
        "authorization": f"Bearer {CLIENT_KEY}",
        "cookie": "a=b",
        "x-unheard-of": "1",
    }
    kept = {"user-agent": "client/1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert (await pod.client.post(f"{CHAT}?priority=-1", json=BODY, headers={**attack, **kept})).status_code == 200
    (received,) = pod.vllm.headers
    assert received.keys().isdisjoint(attack)
    assert {name: received[name] for name in kept} == kept
    assert received["content-type"] == "application/json"
