"""The official OpenAI clients for Python and JavaScript against a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import openai
import pytest

from e2e.harness import javascript, serving
from e2e.harness.bucket import Bucket
from e2e.harness.kubectl import Body, Kubectl, wait_until
from support import openai_client
from tunewright_dev import paths

pytestmark = pytest.mark.e2e

ORIGIN = "https://chat.example.com"


@pytest.fixture(scope="module")
def javascript_folder() -> Path:
    """The folder in which the JavaScript client is installed."""
    folder = paths.find_paths().build / "clients"
    javascript.install(folder)
    return folder


def test_official_clients(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str, javascript_folder: Path
) -> None:
    alias = f"o{team[5:]}"
    serving.deploy(platform, bucket, pool, team, base_digest, 61, alias)
    address = serving.service_address(platform, pool)

    async def use_python() -> None:
        async with openai.DefaultAsyncHttpxClient(trust_env=False) as http:
            openai_client.check(
                await openai_client.use_client(
                    lambda path: openai.AsyncOpenAI(
                        base_url=address + path, api_key=serving.KEY, max_retries=0, timeout=60, http_client=http
                    ),
                    alias,
                ),
                alias,
            )

    asyncio.run(use_python())
    openai_client.check(javascript.use_client(javascript_folder, address, alias, serving.KEY), alias)


def test_a_page_of_an_allowed_origin_can_call_the_server(platform: Kubectl, pool: str) -> None:
    def preflight(address: str) -> httpx.Response:
        asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
        return httpx.request("OPTIONS", f"{address}/v1/chat/completions", headers=asked, trust_env=False)

    def addresses() -> list[str]:
        return list(serving.pod_addresses(platform, pool).values())

    serving.wait_ready(platform, pool)
    template = _pod_template(platform, pool)
    assert {preflight(address).status_code for address in addresses()} == {403}
    platform.apply(serving.build_server(pool, 2, allowedOrigins=[ORIGIN]))
    try:
        wait_until(
            lambda: all(preflight(address).status_code == 204 for address in addresses()),
            timeout=180,  # The kubelet updates a mounted ConfigMap within about a minute.
            describe=lambda: str([preflight(address).text for address in addresses()]),
        )
        for address in addresses():
            assert preflight(address).headers["access-control-allow-origin"] == ORIGIN
            listed = serving.list_models(address, key="", origin=ORIGIN)
            assert listed.status_code == 401, "a page can also read that its key is refused"
            assert listed.headers.get_list("access-control-allow-origin") == [ORIGIN]
        assert _pod_template(platform, pool) == template, "no pod is replaced"
    finally:
        platform.apply(serving.build_server(pool, 2))


def _pod_template(platform: Kubectl, pool: str) -> Body:
    deployment = platform.get("deployment", serving.NAME, pool)
    assert deployment is not None
    template: Body = deployment["spec"]["template"]
    return template
