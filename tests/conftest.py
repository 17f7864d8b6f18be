"""What all tests share."""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, Phase, settings

# Machines are shared and noisy, so the time that an example takes means nothing. CI runs the same examples each
# time, so that a failure comes from the change. A developer's machine runs different ones, which finds new failures.
settings.register_profile(
    "tunewright",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
# `make test-full`: ten times as many examples.
settings.register_profile("full", settings.get_profile("tunewright"), max_examples=1000)
# `make mutants`: the same examples in each run, so that the result depends only on the mutant. The first failure is
# enough.
settings.register_profile(
    "mutants",
    settings.get_profile("tunewright"),
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("tunewright")


def pytest_collection_finish() -> None:
    """Let no garbage collection visit the modules and the collected tests, which live until the end."""
    gc.freeze()
