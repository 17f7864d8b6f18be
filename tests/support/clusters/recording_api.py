"""An API server that records requests and gives prepared answers, and credentials for it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tunewright_operator.kubernetes_api.credentials import CredentialsError, Endpoint


@dataclasses.dataclass
class Asked:
    """A request that the server got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class RecordingAPI:
    """Answers from a list, and records the requests."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[tuple[int, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body = json.loads(data) if data else None
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers), body))
        status, answer = self.answers.pop(0)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer, status=status)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[RecordingAPI]:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self.handle)
        async with TestServer(application) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self


class Tokens:
    """Credentials with a list of tokens, of which `renew` takes the next."""

    def __init__(self, url: str, *tokens: str) -> None:
        self.endpoint = Endpoint(url)
        self.tokens = list(tokens)
        self.unreadable = ""

    def authorization(self) -> str | None:
        if self.unreadable:
            raise CredentialsError(self.unreadable)
        return f"Bearer {self.tokens[0]}" if self.tokens else None

    async def renew(self, refused: str | None) -> bool:
        if len(self.tokens) > 1:
            self.tokens.pop(0)
        return self.authorization() != refused
