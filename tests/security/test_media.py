"""A client lets the pod fetch an address, by content that is not text."""

from support.worlds.server_world import refused

CHAT = "/v1/chat/completions"
METADATA = "http://169.254.169.254/latest/meta-data"


async def attack(pod, content, code="unsupported_content", role="user"):
    body = {"model": "support", "messages": [{"role": role, "content": content}]}
    message = refused(await pod.client.post(CHAT, json=body), 400, code)
    assert "messages[0]" in message
    assert pod.vllm.requests == []


async def test_parts_that_are_not_text(pod):
    for part in (
        {"type": "image_url", "image_url": {"url": METADATA}},
        {"type": "video_url", "video_url": {"url": "file:///etc/passwd"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "image_embeds", "image_embeds": "AAAA"},
        {"type": "file", "file": {"file_id": "1"}},
        {"type": "text", "text": "x", "uuid": "1", "image_url": METADATA},
        {"image_url": METADATA},
        {"type": "tool_reference", "name": "x"},
    ):
        for role in ("user", "system", "assistant", "tool", "developer"):
            await attack(pod, [part], role=role)


async def test_an_object_instead_of_a_text(pod):
    for content in (
        {"type": "image_url", "image_url": {"url": METADATA}},
        {"0": {"type": "image_url", "image_url": {"url": METADATA}}},
        {"type": "text", "text": "x"},
        {},
        7,
        True,
    ):
        await attack(pod, content)


async def test_an_object_inside_of_a_text_part(pod):
    for text in ({"image_url": METADATA}, [METADATA], None, 7):
        await attack(pod, [{"type": "text", "text": text}])


async def test_fields_of_a_message_that_are_not_text(pod):
    for name, value in (
        ("audio", {"id": METADATA}),
        ("image_url", METADATA),
        ("tools", [{"url": METADATA}]),
        ("task", "x"),
    ):
        body = {"model": "support", "messages": [{"role": "user", "content": "x", name: value}]}
        message = refused(await pod.client.post(CHAT, json=body), 400, "unsupported_parameter")
        assert f"messages[0].{name}" in message
    assert pod.vllm.requests == []


async def test_text_in_all_its_forms_is_answered(pod):
    for content in ("x", None, [], ["x"], [{"type": "text", "text": "x"}]):
        body = {
            "model": "support",
            "messages": [{"role": "user", "content": content}, {"role": "user", "content": "x"}],
        }
        assert (await pod.client.post(CHAT, json=body)).status_code == 200
        assert pod.vllm.requests.pop()["messages"] == body["messages"]
