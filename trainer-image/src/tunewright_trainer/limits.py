"""The maximum length of a record: `prepare` rejects longer ones, so that training truncates none."""

from __future__ import annotations

from tunewright_contracts.run_spec import RunSpec


def length_limit(spec: RunSpec) -> tuple[int, str]:
    """Return the maximum number of tokens of a record, and the name of the setting that limits it."""
    context, wanted = spec.base_model.context_length, spec.training.max_sequence_length
    if 0 < wanted <= context:
        return wanted, "training.maxSequenceLength"
    return context, f"the context length of base model {spec.base_model.name}"
