"""A server pod without vLLM: keys, plans, adapters on disk, and fakes for the object store and the engine."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import time
from pathlib import Path

import httpx
import jwt
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from safetensors.numpy import save_file
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route as HttpRoute

from tunewright_contracts.adapter_manifest import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    AdapterManifest,
    BaseModelIdentity,
    adapter_folder,
    compute_adapter_digest,
    revision_name,
)
from tunewright_contracts.clients.access_list import AccessList, ClientEntry, KeyEntry
from tunewright_contracts.clients.client_key import build_client_key, find_key_id, hash_client_key
from tunewright_contracts.content_file import ContentFile
from tunewright_contracts.locations import BaseModelSource
from tunewright_contracts.server_config import ServerConfig
from tunewright_contracts.serving_plan import (
    AdapterEntry,
    AdapterSource,
    Route,
    ServingPlan,
    SignedPlan,
    Target,
)
from tunewright_server.adapters.engine import EngineRefusedError
from tunewright_server.files import write_atomically
from tunewright_server.http.middleware import TunewrightMiddleware
from tunewright_server.runtime import Runtime
from tunewright_server.settings import Settings
from tunewright_storage.errors import StorageError, StorageReason

SERVER_UID = "6f0e8f0a-server"
BASE_DIGEST = "sha256:" + "b" * 64
BASE_NAME = "tiny-base"
NAMESPACE = "support"
PREFIX = "s3://bucket/adapters/support"
HIDDEN, KEYS, LAYERS, RANK = 16, 8, 2, 4
WHAT_TO_DO = re.compile("; (train|publish|write|install|add) [^;]+$")
"""The remedy at the end of each refusal."""
KEY = Ed25519PrivateKey.generate()
CLIENT_KEY = build_client_key("7Kp2mX9bT4cQ", "s" * 43)
"""The key of the client that `Pod.client` is: it may call every alias of `NAMESPACE`."""
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sign(document: ServingPlan | AccessList, key: Ed25519PrivateKey = KEY) -> bytes:
    payload = document.to_json().encode()
    signed = SignedPlan(
        payload=base64.b64encode(payload).decode(), signature=base64.b64encode(key.sign(payload)).decode()
    )
    return signed.to_json().encode()


def make_token(scope: str, key: Ed25519PrivateKey = KEY, **claims) -> str:
    defaults = {"aud": SERVER_UID, "scope": scope, "exp": int(time.time()) + 300}
    return jwt.encode({**defaults, **claims}, key, algorithm="EdDSA")


def make_plan(generation: int = 1, entries=(), routes=(), **changes) -> ServingPlan:
    fields = {
        "server_uid": SERVER_UID,
        "generation": generation,
        "base_model_digest": BASE_DIGEST,
        "adapters": tuple(entries),
        "routes": tuple(routes),
        "adapter_sources": (AdapterSource(namespace=NAMESPACE, uri_prefix=PREFIX),),
    }
    return ServingPlan(**{**fields, **changes})


def make_client(*keys: str, namespace=NAMESPACE, name="web", expires_at=None, **changes) -> ClientEntry:
    """Return a client of a namespace, which may call all its aliases unless ``changes`` has others."""
    entries = (KeyEntry(id=find_key_id(key), sha256=hash_client_key(key), expires_at=expires_at) for key in keys)
    return ClientEntry(namespace=namespace, name=name, keys=tuple(entries), **{"all_aliases": True, **changes})


def make_access(generation: int = 1, *clients: ClientEntry, **changes) -> AccessList:
    fields = {"kind": "AccessList", "server_uid": SERVER_UID, "generation": generation, "clients": clients}
    return AccessList(**{**fields, **changes})


def make_route(*targets: tuple[AdapterEntry, int], alias: str = "support", **changes) -> Route:
    """Return an alias' route; with several targets, the first is the incumbent."""
    return Route(
        alias=alias,
        namespace=NAMESPACE,
        targets=tuple(Target(name=entry.name, weight=weight) for entry, weight in targets),
        fallback=targets[0][0].name if len(targets) > 1 else "",
        **changes,
    )


def write_base_model(folder: Path) -> None:
    """Write the headers of a two-layer model with square queries and narrow values."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"model.embed_tokens.weight": np.zeros((32, HIDDEN), np.float32)}
    for layer in range(LAYERS):
        tensors[f"model.layers.{layer}.self_attn.q_proj.weight"] = np.zeros((HIDDEN, HIDDEN), np.float32)
        tensors[f"model.layers.{layer}.self_attn.v_proj.weight"] = np.zeros((KEYS, HIDDEN), np.float32)
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = np.zeros((HIDDEN,), np.float32)
    save_file(tensors, folder / "model.safetensors")


def make_tensors(seed: int = 0, rank: int = RANK) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    tensors = {}
    for layer in range(LAYERS):
        for module, out in (("q_proj", HIDDEN), ("v_proj", KEYS)):
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{name}.lora_A.weight"] = random.normal(size=(rank, HIDDEN)).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = random.normal(size=(out, rank)).astype(np.float32)
    return tensors


def make_config(**changes) -> dict:
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
    return {**config, **changes}


def make_server_config(chat_template: str = "", **changes) -> ServerConfig:
    fields = {"max_rank": 8, "max_adapters": 4, "rollout_slots": 4, "max_active_adapters": 4, "max_model_length": 64}
    source = BaseModelSource(name="tiny", digest=BASE_DIGEST, context_length=64, chat_template=chat_template)
    return ServerConfig(
        server_uid=SERVER_UID,
        namespace="serving",
        name="pool",
        base_model=source,
        served_base_name=BASE_NAME,
        **{**fields, **changes},
    )


class FakeSource:
    """An object store in memory: ``contents`` by URI, with matching manifests; it fails on demand."""

    def __init__(self) -> None:
        self.contents: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, AdapterManifest] = {}
        self.failure: StorageError | None = None
        self.fetched: list[str] = []

    def publish(
        self, scratch: Path, seed=0, *, tensors=None, config=None, base_digest=BASE_DIGEST, rank=RANK, weights=None
    ):
        """Store an adapter with unique content and return the plan's entry for it."""
        scratch.mkdir(parents=True, exist_ok=True)
        if weights is None:
            save_file(make_tensors(seed) if tensors is None else tensors, scratch / WEIGHTS_NAME)
            weights = (scratch / WEIGHTS_NAME).read_bytes()
        files = {WEIGHTS_NAME: weights, CONFIG_NAME: json.dumps(config or make_config()).encode()}
        digest = compute_adapter_digest({name: sha256(data) for name, data in files.items()})
        uri = f"{PREFIX}/{adapter_folder(digest)}"
        self.contents[uri] = files
        self.manifests[uri] = AdapterManifest(
            digest=digest,
            files=tuple(ContentFile(path=n, sha256=sha256(data), size=len(data)) for n, data in files.items()),
            base_model=BaseModelIdentity(name="tiny", digest=base_digest),
            rank=rank,
            dataset_digest=sha256(b"data"),
            evaluation_dataset_uri="s3://bucket/data",
            training={},
            packages={},
            created_at="2026-01-01T00:00:00Z",
        )
        return AdapterEntry(
            name=revision_name("support", digest), digest=digest, uri=uri, rank=rank, namespace=NAMESPACE
        )

    def read_manifest(self, uri):
        if self.failure is not None:
            raise self.failure
        if str(uri) not in self.manifests:
            raise StorageError(StorageReason.NO_MANIFEST, f"{uri} has no manifest.json")
        return self.manifests[str(uri)]

    def fetch(self, uri, folder, digest, max_bytes):
        manifest = self.read_manifest(uri)
        assert manifest.content_bytes <= max_bytes
        self.fetched.append(str(uri))
        target = folder / adapter_folder(digest)
        target.mkdir(parents=True, exist_ok=True)
        for name, data in self.contents[str(uri)].items():
            (target / name).write_bytes(data)
        return manifest


class FakeEngine:
    """vLLM's registry of adapters; ``events`` records the order of calls.

    Names in ``refuse`` get an error, and the load of those in ``block`` does not end.
    """

    def __init__(self) -> None:
        self.loaded: dict[str, Path] = {}
        self.refuse: set[str] = set()
        self.block: set[str] = set()
        self.capacity: int | None = 64
        self.events: list[tuple[str, str]] = []

    def read_capacity(self):
        return self.capacity

    async def load(self, name, folder):
        assert (folder / WEIGHTS_NAME).is_file()
        if name in self.refuse:
            raise EngineRefusedError("unsupported module")
        if name in self.block:
            await asyncio.Event().wait()
        self.loaded[name] = folder
        self.events.append(("load", name))

    async def unload(self, name):
        if name not in self.loaded:
            return
        # The files must still exist when the name is removed: without them, vLLM's engine dies.
        assert self.loaded[name].is_dir()
        del self.loaded[name]
        self.events.append(("unload", name))


STATUSES = frozenset({"400", "401", "404", "405", "415", "422", "429", "500", "503"})
"""Prompts that `FakeVllm` answers with an error of this status."""


class FakeVllm:
    """vLLM's HTTP API as a client sees it; the prompt decides how it answers."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.answer = '{"queue":"billing"}'
        self.finish: tuple[str, str | int | None] = ("stop", None)
        names = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize", "/invocations"]
        names += ["/v1/load_lora_adapter", "/adapters", "/v1/responses"]
        self.app = Starlette(
            routes=[
                *(HttpRoute(name, self.complete, methods=["POST"]) for name in names),
                HttpRoute("/health", lambda _: PlainTextResponse("")),
                HttpRoute("/metrics", lambda _: PlainTextResponse("vllm:x 1")),
                HttpRoute("/v1/models", lambda _: JSONResponse({"data": [{"id": BASE_NAME}]})),
                HttpRoute("/version", lambda _: PlainTextResponse("0")),
            ]
        )

    async def complete(self, request: Request):
        data = json.loads(await request.body())
        self.requests.append(data)
        self.headers.append(dict(request.headers))
        await self.hold.wait()
        prompt = data["messages"][-1]["content"] if "messages" in data else data.get("prompt", "")
        model = data["model"]
        if prompt == "crash":
            raise RuntimeError("engine died")
        if prompt in STATUSES:
            error = {"message": f"The model `{model}` did not like it", "code": int(prompt)}
            return JSONResponse({"error": error}, status_code=int(prompt))
        if data.get("stream"):
            return StreamingResponse(self.stream(data, prompt), media_type="text/event-stream")
        said = {"text": self.answer} if "prompt" in data else {"message": {"role": "assistant", "content": self.answer}}
        if prompt == "tool":
            said = {"message": {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}}
        choice = {"index": 0, **said, **self.ended()}
        return JSONResponse({"id": "1", "model": model, "choices": [choice], "usage": {"completion_tokens": 5}})

    def ended(self) -> dict:
        reason, stop = self.finish
        return {"finish_reason": reason, "stop_reason": stop}

    async def stream(self, data: dict, prompt: str):
        options = data.get("stream_options") or {}
        for number, piece in enumerate((self.answer[:5], self.answer[5:]), start=1):
            said = {"text": piece} if "prompt" in data else {"delta": {"content": piece}}
            event = {"id": "1", "model": data["model"], "choices": [{"index": 0, **said}]}
            if number == 2:
                event["choices"][0].update(self.ended())
            if options.get("continuous_usage_stats"):
                event["usage"] = {"completion_tokens": number * 7 // 2}
            yield f"data: {json.dumps(event)}\n\n"
            if prompt.startswith("error-event"):
                code = int(prompt.removeprefix("error-event") or 500)
                yield f"data: {json.dumps({'error': {'message': data['model'] + ' failed', 'code': code}})}\n\n"
                break
            if prompt == "abort":
                raise RuntimeError("engine died")
        if options.get("include_usage"):
            usage = {"id": "1", "model": data["model"], "choices": [], "usage": {"completion_tokens": 7}}
            yield f"data: {json.dumps(usage)}\n\n"
        yield "data: [DONE]\n\n"


class Pod:
    """A running middleware around `FakeVllm`."""

    def __init__(self, root: Path, source: FakeSource | None = None, **config) -> None:
        self.root = root
        self.source = source or FakeSource()
        self.engine = FakeEngine()
        self.vllm = FakeVllm()
        self.settings = Settings(
            config_path=root / "server.json",
            plan_directory=root / "plan",
            access_directory=root / "access",
            public_key_path=root / "operator.pub",
            state_directory=root / "state",
            port=0,
            host="127.0.0.1",
            pod_uid="pod-1",
        )
        self.config = make_server_config(**config)
        root.mkdir(parents=True, exist_ok=True)
        (root / "plan").mkdir(exist_ok=True)
        (root / "access").mkdir(exist_ok=True)
        self.mount_access(make_access(1, make_client(CLIENT_KEY)))
        (root / "operator.pub").write_bytes(PEM)
        write_base_model(self.settings.base_model_folder)
        self.runtime: Runtime | None = None

    def build(self, _app) -> Runtime:
        self.runtime = Runtime(self.settings, self.config, self.engine, self.source)
        return self.runtime

    def mount(self, plan: ServingPlan) -> None:
        write_atomically(self.root / "plan" / "plan.json", sign(plan))

    def mount_access(self, access: AccessList) -> None:
        write_atomically(self.root / "access" / "access.json", sign(access))

    @contextlib.asynccontextmanager
    async def running(self):
        """Run the lifespan; yield an HTTP client that sends `CLIENT_KEY`."""
        self.middleware = TunewrightMiddleware(self.vllm.app, build_runtime=self.build)
        to_app, from_app = asyncio.Queue(), asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}, "app": self.vllm.app}
        task = asyncio.create_task(self.middleware(scope, to_app.get, from_app.put))
        await to_app.put({"type": "lifespan.startup"})
        started = await from_app.get()
        assert started["type"] == "lifespan.startup.complete", started
        transport = httpx.ASGITransport(self.middleware, raise_app_exceptions=False)
        try:
            headers = {"authorization": f"Bearer {CLIENT_KEY}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://pod", headers=headers) as client:
                self.client = client
                yield client
        finally:
            await to_app.put({"type": "lifespan.shutdown"})
            await from_app.get()
            await task

    async def push(self, plan: ServingPlan) -> httpx.Response:
        return await self.client.put("/tunewright/v1/plan", content=sign(plan))

    async def push_access(self, access: AccessList) -> httpx.Response:
        return await self.client.put("/tunewright/v1/access", content=sign(access))

    async def state(self) -> dict:
        headers = {"authorization": f"Bearer {make_token('state')}"}
        return (await self.client.get("/tunewright/v1/state", headers=headers)).json()

    async def settled(self) -> dict:
        """Wait until the current plan is settled; return the state."""
        return await until(self._settled_state)

    async def _settled_state(self):
        state = await self.state()
        return state if state["settled"] else None

    async def counted(self, number: int) -> dict:
        """Wait until this number of answers is counted; return the counters by revision."""

        async def enough():
            counters = {item["revision"]: item for item in (await self.state())["counters"]}
            return counters if sum(item["answers"] for item in counters.values()) >= number else None

        return await until(enough)


async def until(condition, seconds: float = 60.0):
    """Poll a condition, plain or asynchronous, until it is true; return its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"did not become true: {condition}"
        await asyncio.sleep(0.005)


def chat(text: str = "hello", model: str = "support", **fields) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


async def serve(pod: Pod, *targets, extra=(), **route) -> None:
    """Push a plan with one route, wait until it is settled."""
    generation = pod.runtime.plan_generation + 1
    entries = [*(entry for entry, _ in targets), *extra]
    plan = make_plan(generation, entries, [make_route(*targets, **route)])
    assert (await pod.push(plan)).status_code == 200
    await pod.settled()


def refused(response: httpx.Response, status: int, code: str) -> str:
    """Assert a refusal; return its message."""
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    return response.json()["error"]["message"]
