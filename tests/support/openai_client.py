"""Use the official OpenAI client for Python as its documentation shows, and check what an official client returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import openai

MESSAGES: Any = [{"role": "user", "content": "What is the colour of thing 1?"}]
IMAGE: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]
OPTIONS: Any = {"temperature": 0, "max_tokens": 4}
PROMPT = "The colour is"


async def use_client(connect: Callable[[str], openai.AsyncOpenAI], alias: str) -> dict[str, Any]:
    """Return what the client returned, in the form of tests/e2e/clients/client.mjs.

    Args:
        connect: returns a client whose base URL is the server's address and this path.
        alias: a model that exists.
    """
    client = connect("/v1")
    chats, completions = client.chat.completions, client.completions
    chat = await chats.create(model=alias, messages=MESSAGES, **OPTIONS)
    completion = await completions.create(model=alias, prompt=PROMPT, **OPTIONS)
    usage: Any = {"stream": True, "stream_options": {"include_usage": True}}
    first = chat.choices[0].message
    return {
        "chat": {"model": chat.model, "text": first.content, "role": first.role},
        "completion": {"model": completion.model, "text": completion.choices[0].text},
        "chatStream": await _read_stream(
            await chats.create(model=alias, messages=MESSAGES, stream=True, **OPTIONS), _read_delta
        ),
        "chatStreamWithUsage": await _read_stream(
            await chats.create(model=alias, messages=MESSAGES, **OPTIONS, **usage), _read_delta
        ),
        "completionStream": await _read_stream(
            await completions.create(model=alias, prompt=PROMPT, stream=True, **OPTIONS), lambda choice: choice.text
        ),
        "models": [model.id async for model in client.models.list()],
        "model": (await client.models.retrieve(alias)).id,
        "unknownModel": await _read_error(chats.create(model="unknown", messages=MESSAGES, **OPTIONS)),
        "unknownModelRetrieved": await _read_error(client.models.retrieve("unknown")),
        "wrongContent": await _read_error(chats.create(model=alias, messages=IMAGE, **OPTIONS)),
        "wrongBaseURL": await _read_error(
            connect("").chat.completions.create(model=alias, messages=MESSAGES, **OPTIONS)
        ),
        "wrongPath": await _read_error(client.embeddings.create(model=alias, input="a")),
    }


def check(found: dict[str, Any], alias: str) -> None:
    """Check what an official client returned."""
    for name in ("chat", "completion"):
        assert found[name]["model"] == alias, name
        assert isinstance(found[name]["text"], str), name
    assert found["chat"]["role"] == "assistant"
    for name in ("chatStream", "chatStreamWithUsage", "completionStream"):
        assert found[name]["models"] == [alias], name
        assert found[name]["finishReason"] in {"stop", "length"}, name
        assert (found[name]["completionTokens"] is not None) == (name == "chatStreamWithUsage"), name
    assert alias in found["models"]
    assert not [name for name in found["models"] if "--" in name]
    assert found["model"] == alias
    for name in ("unknownModel", "unknownModelRetrieved"):
        assert _summary(found[name]) == ("NotFoundError", 404, "model_not_found"), name
        assert alias in found[name]["message"], name
    assert _summary(found["wrongContent"]) == ("BadRequestError", 400, "unsupported_content")
    assert _summary(found["wrongBaseURL"]) == ("NotFoundError", 404, "not_found")
    assert "use /v1/chat/completions" in found["wrongBaseURL"]["message"]
    assert _summary(found["wrongPath"]) == ("NotFoundError", 404, "not_found")


def _summary(error: dict[str, Any]) -> tuple[Any, ...]:
    return error["name"], error.get("status"), error.get("code")


def _read_delta(choice: Any) -> str | None:
    text: str | None = choice.delta.content
    return text


async def _read_stream(stream: AsyncIterator[Any], text: Callable[[Any], str | None]) -> dict[str, Any]:
    found: dict[str, Any] = {"models": [], "text": "", "finishReason": None, "completionTokens": None}
    async for chunk in stream:
        if chunk.model not in found["models"]:
            found["models"].append(chunk.model)
        for choice in chunk.choices:
            found["text"] += text(choice) or ""
            found["finishReason"] = choice.finish_reason or found["finishReason"]
        if chunk.usage is not None:
            found["completionTokens"] = chunk.usage.completion_tokens
    return found


async def _read_error(call: Awaitable[Any]) -> dict[str, Any]:
    try:
        await call
    except openai.APIStatusError as error:
        name = type(error).__name__
        return {"name": name, "status": error.status_code, "code": error.code, "message": error.message}
    return {"name": None}
