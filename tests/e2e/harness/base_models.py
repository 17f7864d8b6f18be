"""BaseModels of the models that `make install` uploads."""

from __future__ import annotations

from typing import Any

from tunewright_dev import chart
from tunewright_dev.object_store import endpoint as object_store

Body = dict[str, Any]


def build_base_model(name: str, *, model: str = "tiny", **spec: Any) -> Body:
    """Return a BaseModel of one of the models; keyword arguments add to the spec."""
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "BaseModel",
        "metadata": {"name": name},
        "spec": {
            "source": {"s3": {"uri": f"s3://{object_store.BUCKET}/models/{model}"}},
            "storage": {"secretRef": {"name": chart.READ_SECRET}},
            "contextLength": 2048,
            **spec,
        },
    }
