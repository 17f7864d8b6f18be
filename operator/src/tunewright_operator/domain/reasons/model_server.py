"""Reasons of a ModelServer's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import Reason


class ModelServerReason(Reason):
    """Reasons of a ModelServer's conditions."""

    SERVING = ("Serving", "Enough replicas are ready and serve the plan.", "Nothing: clients may ask.")
    STARTING = (
        "Starting",
        "Replicas are starting: fetching the base model, loading it, loading the plan's adapters.",
        "Nothing: it goes on by itself.",
    )
    UPDATING = (
        "Updating",
        "Pods of an older template are being replaced, one at a time.",
        "Nothing: it goes on by itself.",
    )
    CONVERGING = (
        "Converging",
        "A new plan is written, and not every ready replica reports it yet.",
        "Nothing: it goes on by itself.",
    )
    SCALED_TO_ZERO = ("ScaledToZero", "`spec.replicas` is 0: nothing answers.", "Raise `spec.replicas`.")
    NEEDS_SURGE = (
        "NeedsSurge",
        "The pod template changed, and the only replica cannot be replaced without an outage.",
        "Set `updateStrategy.maxSurge` to 1 (a second accelerator for a while), add a replica, or scale to 0 and back.",
    )
    REPLICAS_UNAVAILABLE = (
        "ReplicasUnavailable",
        "Fewer replicas are ready than the pool needs; the message says what the kubelet or the pod says.",
        "Mend what the message names: image, credentials, memory, capacity.",
    )
