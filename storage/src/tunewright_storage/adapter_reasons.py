"""Why an adapter is not loaded: the reasons that a pod reports, and a failure with its reason and message."""

from __future__ import annotations

import dataclasses

from tunewright_contracts import reasons
from tunewright_storage.errors import StorageReason


class AdapterReason(reasons.Reason):
    """The reasons of failures; failures of storage have a `StorageReason`."""

    INVALID_ENTRY = (
        "InvalidEntry",
        "The adapter's name in the plan does not match its digest: operator and server are of different releases.",
        "Install the operator and the server image of the same release.",
    )
    SOURCE_NOT_ALLOWED = (
        "SourceNotAllowed",
        "The server's `adapterSources` do not allow the adapter's namespace to serve from this address.",
        "Publish below an allowed prefix, or ask the server's owner to add one.",
    )
    BASE_MODEL_MISMATCH = (
        "BaseModelMismatch",
        "The adapter was not trained on the weights that the server runs.",
        "Serve it on a server with its base model, or train it again on the server's.",
    )
    RANK_TOO_HIGH = (
        "RankTooHigh",
        "The adapter's rank is invalid or over the server's `spec.lora.maxRank`.",
        "Train with a lower rank, or have the server's limit raised.",
    )
    NOT_AN_ADAPTER = (
        "NotAnAdapter",
        "`adapter_config.json` cannot be read, or its rank or alpha is invalid.",
        "Publish it again with the configuration that it was trained with.",
    )
    UNSUPPORTED_ADAPTER = (
        "UnsupportedAdapter",
        "vLLM cannot serve this kind of adapter: it is not plain LoRA, or its weights are not floats.",
        "Train it again without the setting that the message names.",
    )
    FORBIDDEN_FILE = (
        "ForbiddenFile",
        "The adapter's folder contains something that is not allowed, such as a pickle, a link or a folder.",
        "Publish it again without that file, as safetensors only.",
    )
    NOT_SAFETENSORS = (
        "NotSafetensors",
        "The weights are not a complete safetensors file: truncated, changed, or in another format.",
        "Publish it again.",
    )
    UNKNOWN_MODULES = (
        "UnknownModules",
        "The weights belong to modules that the base model does not have, or weights of a target module are missing.",
        "Train it on the base model that the server runs.",
    )
    SHAPE_MISMATCH = (
        "ShapeMismatch",
        "The weights' shapes do not match the base model or the configured rank.",
        "Train it on the base model that the server runs, or publish it with the rank that it was trained with.",
    )
    NON_FINITE_WEIGHTS = (
        "NonFiniteWeights",
        "The weights contain NaN or infinity: the training diverged.",
        "Train again with a lower `learningRate`.",
    )
    TOO_LARGE = (
        "AdapterTooLarge",
        "The adapter has more bytes than an adapter of the server's highest rank.",
        "Publish only its LoRA weights.",
    )
    DISK_FULL = (
        "DiskFull",
        "The pod has no space left for the adapter's files.",
        "Free the node's disk, or raise `ephemeral-storage` in the ModelServer's `spec.resources`.",
    )
    VOLUME_FULL = (
        "AdapterVolumeFull",
        "The pod's other adapters take the space that the adapter needs.",
        "No action needed if others are removed; otherwise serve it on another ModelServer.",
    )
    LOAD_DEADLINE = (
        "LoadDeadlineExceeded",
        "vLLM did not load the adapter before the deadline, or the server ended twice while it loaded the adapter.",
        "Train it again with a lower rank or on fewer modules.",
    )
    LOAD_FAILED = (
        "LoadFailed",
        "vLLM did not load the adapter, or the pod failed before that.",
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
