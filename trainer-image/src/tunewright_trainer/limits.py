"""How long a record may be: `prepare` refuses longer ones, so that training cuts none."""

from __future__ import annotations

from tunewright_contracts.run_spec import RunSpec


def length_limit(spec: RunSpec) -> tuple[int, str]:
    """Return the most tokens that a record may have, and the setting that says so."""
    context, wanted = spec.base_model.context_length, spec.training.max_sequence_length
    if 0 < wanted <= context:
        return wanted, "training.maxSequenceLength"
    return context, f"the context length of base model {spec.base_model.name}"
