"""Reasons of a ModelServer's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import Reason


class ModelServerReason(Reason):
    """Reasons of a ModelServer's conditions."""

    SERVING = ("Serving", "Enough replicas are ready and serve the plan.", "No action needed.")
    STARTING = (
        "Starting",
        "Replicas are starting: they fetch and load the base model, then they load the plan's adapters.",
        "No action needed.",
    )
    UPDATING = (
        "Updating",
        "Pods of an older template are being replaced.",
        "No action needed.",
    )
    CONVERGING = (
        "Converging",
        "A new plan is written, and not every ready replica has applied it yet.",
        "No action needed.",
    )
    SCALED_TO_ZERO = ("ScaledToZero", "`spec.replicas` is 0: no pod answers.", "Raise `spec.replicas`.")
    NEEDS_SURGE = (
        "NeedsSurge",
        "The pod template changed, and the only replica cannot be replaced without an outage.",
        (
            "Set `updateStrategy.maxSurge` to 1 (this needs a second accelerator during the update), add a replica, "
            "or scale to 0 and back."
        ),
    )
    REPLICAS_UNAVAILABLE = (
        "ReplicasUnavailable",
        "Fewer replicas are ready than the pool needs; the message is from the API server, the kubelet or the pod.",
        "Fix what the message names: image, credentials, memory or capacity.",
    )
