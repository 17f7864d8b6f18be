"""Small FineTuneJobs and their data, on the tiny random model by default."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Body = dict[str, Any]
COLOURS = ("red", "green", "blue", "white", "black", "amber", "violet", "olive")


def build_records(count: int, start: int = 0, *, colours: Sequence[str] = COLOURS) -> str:
    """Return JSONL of unique records in the Messages format; each asks for the colour of thing N."""
    lines = []
    for number in range(start, start + count):
        question = {"role": "user", "content": f"What is the colour of thing {number}?"}
        answer = {"role": "assistant", "content": colours[number % len(colours)]}
        lines.append(json.dumps({"messages": [question, answer]}))
    return "\n".join(lines) + "\n"


def build_dataset(name: str, namespace: str, text: str) -> Body:
    """Return a ConfigMap that holds a dataset file."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"data.jsonl": text},
    }


def build_job(name: str, namespace: str, **spec: Any) -> Body:
    """Return a FineTuneJob on ConfigMap `data`; keyword arguments replace parts of the spec."""
    defaults: Body = {
        "baseModelRef": {"name": "tiny"},
        "storage": {"secretRef": {"name": "s3"}},
        "dataset": {
            "sources": [{"name": "records", "configMap": {"name": "data"}}],
            "split": {"validationPercent": 20, "evaluationPercent": 20},
        },
        "training": {
            "quantization": "None",
            "lora": {"rank": 8, "alpha": 8},
            "maxSteps": 6,
            "batchSize": 4,
            "learningRate": "1e-3",
            "checkpointSteps": 2,
        },
        "evaluation": {"maxSamples": 4, "maxTokens": 4, "metrics": [{"type": "ExactMatch"}]},
        "output": {"uri": f"s3://tunewright/adapters/{namespace}"},
        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "4Gi"}},
    }
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**defaults, **spec},
    }
