"""The serving plan: how a decision reaches every replica, and the state that replicas report back.

The operator writes a `SignedPlan` into a ConfigMap that server pods mount and pushes the same bytes over HTTP. Pods
answer ``GET /tunewright/v1/state`` with a `PodState`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tunewright_contracts.content_file import PlainName
from tunewright_contracts.document import Document, Message, NumberedDocument, Sha256, SignedDocument
from tunewright_contracts.pool_load import DEFAULT_SHARE_PERCENT
from tunewright_contracts.values import Count, MetricName, Name, ShortText, StopTokens, Word

PLAN_KEY = "plan.json"
"""The key in the plan's ConfigMap; its value is a `SignedPlan`."""
PLAN_DIRECTORY = "/etc/tunewright/plan"
PUBLIC_KEY_PATH = "/etc/tunewright/keys/operator.pub"
ADMIN_PREFIX = "/tunewright/v1"
STATE_PATH = f"{ADMIN_PREFIX}/state"
PLAN_PATH = f"{ADMIN_PREFIX}/plan"
SERVER_PORT = 8000
MAX_PLAN_BYTES = 900 * 1024
MAX_STATE_BYTES = 4 * 1024 * 1024
"""The largest `PodState` that the operator reads; a pod with a larger one cannot be observed.

The counters of a full pool (1,024 aliases, 64 of them in a rollout) need less than half of it.
"""
LEAVE_SECONDS = 10
"""From a pod's removal from the Service until SIGTERM (its preStop): time for every proxy to learn of the removal."""
GRACE_SECONDS = 120
"""From the decision to stop a pod until SIGKILL: `LEAVE_SECONDS`, `FINISH_SECONDS`, and ten seconds to shut down."""
FINISH_SECONDS = GRACE_SECONDS - LEAVE_SECONDS - 10
"""From SIGTERM until vLLM cuts off the answers that it still generates."""
BUCKETS = 64
REVISION_HEADER = "x-tunewright-revision"
EVALUATE_HEADER = "x-tunewright-evaluate"
"""An authorized evaluation request names its revision (or `BASE_MODEL_TARGET`) here; it is not counted as live."""
BASE_MODEL_TARGET = "base-model"


class AdapterEntry(Message):
    """An adapter that every replica loads under ``name`` (`adapter_manifest.revision_name`)."""

    name: PlainName
    """Also the name of the adapter's folder in a pod."""
    digest: Sha256
    uri: str
    rank: int
    namespace: str
    """The namespace that serves it, for the pod's check of `adapter_sources`."""
    stop_token_ids: StopTokens | None = None
    """Pods add them to `stop_token_ids` of each request that this adapter answers."""


class AdapterSource(Message):
    """A prefix from which a namespace may serve adapters."""

    namespace: str
    uri_prefix: str


class StickyKey(Message):
    """Where a request has its sticky key; the first one that is present counts."""

    header: str | None = None
    body_field: str | None = None


class OutputContract(Message):
    """What every live answer must satisfy."""

    json_schema: dict[str, Any] | None = None
    max_tokens: int | None = None


class Target(Message):
    """A revision that answers for an alias; ``weight`` is a percentage."""

    name: str
    weight: int = Field(ge=0, le=100)


class Route(Message):
    """An alias, which clients send as ``model``. Weights sum to 100; without targets, pods answer 503."""

    alias: str
    namespace: str
    owner_uid: str = ""
    """The AdapterDeployment that owns the alias until it releases it; pods ignore this field."""
    targets: tuple[Target, ...] = ()
    fallback: str = ""
    """The target that answers instead of one that is not loaded in a pod: the incumbent, never a candidate.

    Empty: none.
    """
    sticky_by: tuple[StickyKey, ...] = ()
    output_contract: OutputContract | None = None
    slow_after_milliseconds: int | None = None
    count_by_key_bucket: bool = False
    salt: str = ""
    """Identifies the rollout in the hash that chooses the arm, so that rollouts have independent samples."""


class ServingPlan(NumberedDocument):
    """What one ModelServer's replicas load and route."""

    max_bytes: ClassVar[int] = MAX_PLAN_BYTES

    base_model_digest: Sha256
    adapters: tuple[AdapterEntry, ...] = ()
    routes: tuple[Route, ...] = ()
    adapter_sources: tuple[AdapterSource, ...] = ()
    allowed_origins: tuple[str, ...] | None = None
    """The origins whose web pages may call the pods from a browser, as browsers send them. None: no page may."""
    structured_outputs: bool | None = None
    """Whether requests may constrain their answers by schemas, patterns, grammars or tools. None: they may not."""
    evaluation_share_percent: int = Field(default=DEFAULT_SHARE_PERCENT, ge=1, le=100)
    """The share of a pod's free places that requests of evaluations may use."""


class SignedPlan(SignedDocument):
    """A signed `ServingPlan`."""

    max_bytes: ClassVar[int] = 2 * MAX_PLAN_BYTES
    """Base64 takes a third more than the plan."""


class AdapterPhase(StrEnum):
    """The phase of an adapter in one pod."""

    PENDING = "Pending"
    FETCHING = "Fetching"
    LOADED = "Loaded"
    DRAINING = "Draining"
    RETRYING = "Retrying"
    """Failed for a reason outside the adapter, such as an unreachable store or a wrong key; retried every minute."""
    FAILED = "Failed"
    """Failed permanently because of the adapter (digest, preflight) or its address.

    The rollout of a candidate that is Failed in every pod ends.
    """


class AdapterState(Message):
    """One adapter in one pod; ``reason`` and ``message`` explain why it is not loaded."""

    name: PlainName
    digest: Sha256
    phase: AdapterPhase
    reason: Word = ""
    message: ShortText = ""
    in_flight: Count = 0


LATENCY_BOUNDS_MILLISECONDS: tuple[int, ...] = tuple(round(5 * 1.25**step) for step in range(48))
"""Upper bounds of the latency histogram, 5 ms to 179 s in steps of 25 %, which is the precision of p95."""
MAX_LIVE_METRICS = 8
MAX_STATE_ENTRIES = 4096
"""The most adapters, and the most pairs of alias and revision, that a pod reports."""
BucketCounts = Annotated[tuple[Count, ...], Field(max_length=BUCKETS)]
"""Counts by key bucket; empty if the route does not ask for them."""


class RevisionCounters(Message):
    """Live counters of one (alias, revision) since boot; arrays have a value per key bucket, if the route asks for it.

    ``bad`` maps a live metric (ErrorRate, Latency, OutputContract) to the number of bad answers. ``unchecked`` counts
    answers whose contract could not be checked: they failed, the client cut them short, or the check took too long.
    ``latency_milliseconds`` is a histogram: counts by upper bound in `LATENCY_BOUNDS_MILLISECONDS`, and a last one
    without a bound.

    ``requests`` counts the requests that the revision answered completely, failed, or that the client abandoned: it
    disconnected before the last byte. Wrong requests, and those that a shutdown cancelled, are not among them.
    ``abandoned`` counts the abandoned ones, whether or not they are also answers: one that was slow, or had already
    exceeded the output contract's length, is. A server of an earlier release reports neither: the arrays are empty.
    ``overloaded`` counts the requests that vLLM refused for its load; they are neither requests nor answers.
    """

    alias: PlainName
    revision: PlainName
    answers: Count = 0
    bad: dict[MetricName, Count] = Field(default_factory=dict, max_length=MAX_LIVE_METRICS)
    unchecked: Count = 0
    answers_by_bucket: BucketCounts = ()
    bad_by_bucket: dict[MetricName, BucketCounts] = Field(default_factory=dict, max_length=MAX_LIVE_METRICS)
    unchecked_by_bucket: BucketCounts = ()
    requests: Count = 0
    abandoned: Count = 0
    overloaded: Count = 0
    requests_by_bucket: BucketCounts = ()
    abandoned_by_bucket: BucketCounts = ()
    latency_milliseconds: Annotated[tuple[Count, ...], Field(max_length=len(LATENCY_BOUNDS_MILLISECONDS) + 1)] = ()


class PlanStatus(StrEnum):
    """What a pod did with the last plan that it received."""

    APPLIED = "Applied"
    NONE = "None"
    CONFLICT = "PlanConflict"
    REFUSED = "PlanRefused"


class AccessState(Message):
    """The access list in force in one pod (`clients.access_list`), and what the pod did with the last one."""

    generation: Count = 0
    hash: Name = ""
    status: PlanStatus = PlanStatus.NONE
    message: ShortText = ""


class PodState(Document):
    """The state that a server pod reports."""

    max_bytes: ClassVar[int] = MAX_STATE_BYTES

    pod_uid: Name
    boot_id: Name
    plan_generation: Count = 0
    plan_hash: Name = ""
    plan_status: PlanStatus = PlanStatus.NONE
    plan_message: ShortText = ""
    settled: bool = False
    access: AccessState | None = None
    """None in a pod of an earlier release, which answers requests without a key."""
    adapters: Annotated[tuple[AdapterState, ...], Field(max_length=MAX_STATE_ENTRIES)] = ()
    counters: Annotated[tuple[RevisionCounters, ...], Field(max_length=MAX_STATE_ENTRIES)] = ()
    peak_memory_mebibytes: Count | None = None
