"""The reference machine: the speed of its pool, and the duration of each stage of the story on it.

`reference.json` has these figures in the form of `build/demo/summary.json`. They are from an idle machine with 2 cores
and 24 GiB. After a change that makes the story shorter or longer, copy ``speed`` and ``seconds.stages`` from the
summary of a run on such a machine.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

_FILE = Path(__file__).with_name("reference.json")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class ReferenceSpeed(_Part):
    """See `summary.Speed`."""

    tokens_per_second: float


class ReferenceSeconds(_Part):
    """See `summary.Seconds`; the stages are in the order of the story."""

    stages: dict[str, float]


class Reference(_Part):
    """The figures of the reference machine."""

    speed: ReferenceSpeed
    seconds: ReferenceSeconds

    @property
    def total_seconds(self) -> float:
        """The duration of the whole story after set-up."""
        return sum(self.seconds.stages.values())

    def seconds_from(self, stage: str) -> float:
        """Return the duration of a stage and all later ones; 0 for a stage that the reference run did not have."""
        names = list(self.seconds.stages)
        if stage not in names:
            return 0.0
        return sum(self.seconds.stages[name] for name in names[names.index(stage) :])


def load_reference() -> Reference:
    """Return the figures of `reference.json`."""
    return Reference.model_validate_json(_FILE.read_bytes())
