"""Why an adapter is not loaded: the reasons that a pod gives, and one failure as it is recorded and reported."""

from __future__ import annotations

import dataclasses

from tunewright_contracts import reasons
from tunewright_storage.errors import StorageReason


class AdapterReason(reasons.Reason):
    """What is wrong with an adapter; what storage answered is a `StorageReason`."""

    INVALID_ENTRY = (
        "InvalidEntry",
        "The adapter's name in the plan does not match its digest: operator and server image are of two releases.",
        "Install operator and server image of one release.",
    )
    SOURCE_NOT_ALLOWED = (
        "SourceNotAllowed",
        "The server's `adapterSources` do not let the adapter's namespace serve from its address.",
        "Publish below an allowed prefix, or ask the server's owner to add one.",
    )
    BASE_MODEL_MISMATCH = (
        "BaseModelMismatch",
        "The adapter was trained on other weights than the server runs.",
        "Serve it on a server of its own base model, or train it again.",
    )
    RANK_TOO_HIGH = (
        "RankTooHigh",
        "The adapter's rank is over the server's `spec.lora.maxRank`, or is no rank.",
        "Train with a lower rank, or have the server's raised.",
    )
    NOT_AN_ADAPTER = (
        "NotAnAdapter",
        "`adapter_config.json` cannot be read, or its rank or alpha is no usable number.",
        "Publish it again with the configuration that it was trained with.",
    )
    UNSUPPORTED_ADAPTER = (
        "UnsupportedAdapter",
        "The adapter is of a kind that vLLM cannot serve: not plain LoRA, or not of floats.",
        "Train it again without what the message names.",
    )
    FORBIDDEN_FILE = (
        "ForbiddenFile",
        "The adapter's folder holds something that no adapter may have, such as a pickle, a link or a folder.",
        "Publish it again without that file, as safetensors only.",
    )
    NOT_SAFETENSORS = (
        "NotSafetensors",
        "The weights are not whole safetensors: truncated, changed, or another format.",
        "Publish it again.",
    )
    UNKNOWN_MODULES = (
        "UnknownModules",
        "The weights belong to modules that the base model does not have, or those of a named module are missing.",
        "Train it on the base model that the server runs.",
    )
    SHAPE_MISMATCH = (
        "ShapeMismatch",
        "The weights' shapes do not fit the base model or the stated rank.",
        "Train it on the base model that the server runs, or publish it with the rank that it was trained with.",
    )
    NON_FINITE_WEIGHTS = (
        "NonFiniteWeights",
        "The weights hold NaN or infinity: the training diverged.",
        "Train again with a lower `learningRate`.",
    )
    TOO_LARGE = (
        "AdapterTooLarge",
        "The adapter has more bytes than one of the server's highest rank can have.",
        "Publish its LoRA weights only.",
    )
    LOAD_FAILED = (
        "LoadFailed",
        "vLLM did not load the adapter, or the pod failed before that, for example by a full disk; see the message.",
        "No action needed if the next attempt succeeds; otherwise fix what the message names.",
    )
    NO_SLOT = (
        "WaitingForSlot",
        "All adapter slots of the pod are in use.",
        "No action needed: the adapter is loaded when a slot becomes free.",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class AdapterFailure:
    """One failed attempt to load an adapter; the message shows what is wrong, where, and what to do."""

    reason: AdapterReason | StorageReason
    message: str
    retryable: bool = False
    """Whether the same attempt may succeed later without a change of the adapter."""


class AdapterError(Exception):
    """An adapter cannot be served; see `AdapterFailure`."""

    def __init__(self, reason: AdapterReason, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.failure = AdapterFailure(reason, message, retryable)
