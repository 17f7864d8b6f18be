"""How vLLM's CPU build applies adapters to a batch.

vLLM's own CPU operations copy an adapter's weights once for each token of the batch, which takes most of the time of a
small model. They also read the slot -1, "no adapter", as the last slot, so that a request for the base model gets the
adapter in that slot if another request of the batch uses an adapter (vllm-project/vllm#48421 and #49656, both open).
Here the rows of one adapter are multiplied at once, and rows without an adapter do not change.

Imported by vLLM in the image only (see `plugin`): torch and vLLM are not installed where the checks run.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from tunewright_server.cpu_lora.rows import group_rows

Groups = list[tuple[int, slice | torch.Tensor]]


class GroupedPunicaWrapper(PunicaWrapperCPU):  # type: ignore[misc]  # vLLM is not installed where mypy runs
    """Apply the adapters of a batch, one after the other; `PunicaWrapperBase` documents each method.

    Products are computed in float32, as vLLM's GPU kernels accumulate them. Weights have the shape
    (slots, 1, rows of the matrix, columns of the matrix).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tokens: Groups = []
        self._sampled: Groups = []

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Store which rows of the next batches belong to which slot; vLLM calls this when the rows change."""
        super().update_metadata(*args, **kwargs)
        self._tokens = _group(self.token_lora_indices)
        self._sampled = _group(self.sampler_indices)

    def add_shrink(
        self,
        y: tuple[torch.Tensor, ...] | torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        scale: float,
        **_: Any,
    ) -> None:
        """Write ``x @ A * scale`` of each row's adapter into ``y``, one tensor for each slice of the layer's output."""
        x = x.view(-1, x.shape[-1])
        for output, weights in zip(y, lora_a_stacked, strict=True):
            _shrink(output, x, weights, self._tokens, scale)

    def add_expand(  # noqa: PLR0917 - vLLM's signature
        self,
        y: torch.Tensor,
        x: tuple[torch.Tensor, ...] | torch.Tensor,
        lora_b_stacked: tuple[torch.Tensor, ...],
        output_slices: tuple[int, ...],
        offset_start: int = 0,
        add_inputs: bool = True,
        **_: Any,
    ) -> None:
        """Add ``x @ B`` of each row's adapter to ``y``, each slice in its columns."""
        y = y.view(-1, y.shape[-1])
        start = offset_start
        for inputs, weights, size in zip(x, lora_b_stacked, output_slices, strict=True):
            _expand(y[:, start : start + size], inputs, weights, self._tokens, add=add_inputs)
            start += size

    def add_lora_embedding(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        add_inputs: bool = True,
        **_: Any,
    ) -> None:
        """Add ``x @ B`` of each row's adapter to the embeddings ``y``."""
        _expand(y, x, lora_b_stacked, self._tokens, add=add_inputs)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        *,
        buffer: torch.Tensor | None = None,
        **_: Any,
    ) -> None:
        """Add ``x @ A @ B * scale`` of each sampled row's adapter to the logits ``y``."""
        y = y.view(-1, y.shape[-1])
        x = x.view(-1, x.shape[-1])
        if buffer is None:
            buffer = torch.zeros((x.size(0), lora_b_stacked.size(-1)), dtype=torch.float32, device=x.device)
        _shrink(buffer, x, lora_a_stacked, self._sampled, scale)
        _expand(y, buffer, lora_b_stacked, self._sampled, add=True)


def _group(slots: torch.Tensor) -> Groups:
    pairs = group_rows(slots.tolist())
    return [(slot, rows if isinstance(rows, slice) else torch.tensor(rows)) for slot, rows in pairs]


def _shrink(y: torch.Tensor, x: torch.Tensor, weights: torch.Tensor, groups: Groups, scale: float) -> None:
    y = y.view(-1, y.shape[-1])
    for slot, rows in groups:
        product = x[rows].float() @ _matrix(weights, slot)
        y[rows, : product.shape[1]] = (product * scale).to(y.dtype)


def _expand(y: torch.Tensor, x: torch.Tensor, weights: torch.Tensor, groups: Groups, *, add: bool) -> None:
    # The model and the adapter may be padded differently.
    width = min(y.shape[1], weights.shape[-2])
    for slot, rows in groups:
        product = (x[rows].float() @ _matrix(weights, slot)[:, :width]).to(y.dtype)
        if add:
            y[rows, :width] += product
        else:
            y[rows, :width] = product


def _matrix(weights: torch.Tensor, slot: int) -> torch.Tensor:
    return weights[slot].reshape(weights.shape[-2:]).float().T
