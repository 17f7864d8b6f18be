"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# The machines are shared and noisy: how long an example takes says nothing. In CI the examples are the same each time,
# so that a red run is about the change; on a developer's machine they differ, so that new ones are found.
settings.register_profile(
    "tunewright",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
# `make test-full`: ten times as many examples.
settings.register_profile("full", settings.get_profile("tunewright"), max_examples=1000)
# `make mutants`: the same examples in each run, so that a mutant's end is about the mutant; the first that fails
# is enough.
settings.register_profile(
    "mutants",
    settings.get_profile("tunewright"),
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("tunewright")
