"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The machines are shared and noisy: how long an example takes says nothing. In CI the examples are the same each time, so
# that a red run is about the change; on a developer's machine they differ, so that new ones are found.
settings.register_profile(
    "tunewright",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
settings.load_profile("tunewright")
