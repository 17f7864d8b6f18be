"""Compare how the server's image applies adapters on CPUs with vLLM's own operations, in a server's pod.

    kubectl -n serving exec -i deploy/smollm2 -- python - < bench/cpu_lora.py

One layer of SmolLM2's shape gets a batch that mixes rows of four adapters and of the base model. The last line of the
output is a JSON object with: the class that vLLM uses; the largest difference from vLLM's operations on each row alone,
where they are correct; the largest change of a row without an adapter, with our and with vLLM's operations; and the
milliseconds that the layer takes on one core, with our and with vLLM's operations.
"""

from __future__ import annotations

import json
import time
from typing import Any

import torch
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper import get_punica_wrapper
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.plugins import load_general_plugins

ROWS, SLOTS, RANK, INPUTS, SLICES = 96, 4, 16, 576, (576, 192, 192)
SCALE = 0.5
RUNS = 20


def main() -> None:
    """Print the comparison."""
    load_general_plugins()
    torch.manual_seed(7)
    torch.set_num_threads(1)
    layer = (
        tuple(torch.randn(SLOTS, 1, RANK, INPUTS, dtype=torch.bfloat16) / 24 for _ in SLICES),
        tuple(torch.randn(SLOTS, 1, size, RANK, dtype=torch.bfloat16) / 4 for size in SLICES),
    )
    inputs = torch.randn(ROWS, INPUTS, dtype=torch.bfloat16)
    base = torch.randn(ROWS, sum(SLICES), dtype=torch.bfloat16)
    adapters = torch.randint(0, SLOTS + 1, (ROWS,)).tolist()  # 0 is none
    ours, theirs = build(get_punica_wrapper, adapters), build(PunicaWrapperCPU, adapters)
    found, upstream = apply(ours, base, inputs, layer), apply(theirs, base, inputs, layer)
    alone = torch.cat(
        [
            apply(build(PunicaWrapperCPU, [adapter]), base[row : row + 1], inputs[row : row + 1], layer)
            if adapter
            else base[row : row + 1]
            for row, adapter in enumerate(adapters)
        ]
    )
    without = [row for row, adapter in enumerate(adapters) if not adapter]
    report = {
        "class": type(ours).__name__,
        "rows": ROWS,
        "rowsWithoutAdapter": len(without),
        "largestDifference": largest(found - alone),
        "largestChangeWithoutAdapter": {
            "ours": largest((found - base)[without]),
            "vllm": largest((upstream - base)[without]),
        },
        "milliseconds": {
            "ours": measure(ours, base, inputs, layer),
            "vllm": measure(theirs, base, inputs, layer),
        },
    }
    print(json.dumps(report))


def build(kind: Any, adapters: list[int]) -> Any:
    """Return a wrapper for a batch whose rows use these adapters."""
    wrapper = kind(max_num_batched_tokens=512, max_batches=256, device="cpu", max_loras=SLOTS)
    mapping = LoRAMapping(tuple(adapters), tuple(adapters), is_prefill=True)
    wrapper.update_metadata(mapping, list(range(1, SLOTS + 1)), SLOTS, 49152)
    return wrapper


def apply(wrapper: Any, base: Any, inputs: Any, layer: Any) -> Any:
    """Return the layer's output, computed from its output without adapters."""
    output = base.clone()
    wrapper.add_lora_linear(output, inputs, *layer, SCALE, SLICES)
    return output


def measure(wrapper: Any, base: Any, inputs: Any, layer: Any) -> float:
    """Return how long the layer takes, in milliseconds."""
    start = time.perf_counter()
    for _ in range(RUNS):
        apply(wrapper, base, inputs, layer)
    return round((time.perf_counter() - start) / RUNS * 1e3, 2)


def largest(tensor: Any) -> float:
    """Return the largest absolute value."""
    return float(tensor.abs().max())


main()
