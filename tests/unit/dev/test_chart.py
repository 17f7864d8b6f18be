"""The upload of the demo's models: one Job, which runs again after a failure."""

from __future__ import annotations

import pytest

from tunewright_dev import chart
from tunewright_dev.errors import DevError

IMAGE = "registry/tunewright/demo-models:0123456789abcdef"
NAME = "upload-models-01234567"
FAILED = {"status": {"conditions": [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}]}}
RUNNING = {"status": {"active": 1}}


class Cluster:
    """A fake kubectl: the answers to `get job` in turn, and how many times `wait` ends without the condition."""

    def __init__(self, *jobs, waits=0, has_log=True):
        self._jobs = list(jobs)
        self._waits = waits
        self._has_log = has_log
        self.did = []

    def get(self, kind, name, namespace):
        assert (kind, name, namespace) == ("job", NAME, "object-store")
        return self._jobs.pop(0)

    def apply(self, objects):
        self.did += [f"apply {one['metadata']['name']}" for one in objects]

    def run(self, scope, verb, target, *_options):
        assert (scope, target) == ("--namespace=object-store", f"job/{NAME}")
        self.did.append(verb)
        if verb == "wait" and self._waits > 0:
            self._waits -= 1
            raise DevError("timed out waiting for the condition")
        if verb == "logs" and not self._has_log:
            raise DevError("no pod")
        return "AccessDenied\n"


@pytest.mark.parametrize(
    ("before", "did"),
    [
        (None, [f"apply {NAME}", "wait"]),
        (RUNNING, ["wait"]),
        (FAILED, ["delete", f"apply {NAME}", "wait"]),
    ],
)
def test_a_failed_job_runs_again(before, did):
    cluster = Cluster(before)
    chart.upload_models(cluster, IMAGE)
    assert cluster.did == did


def test_a_job_that_takes_long_is_waited_for():
    cluster = Cluster(None, RUNNING, RUNNING, waits=2)
    chart.upload_models(cluster, IMAGE)
    assert cluster.did == [f"apply {NAME}", "wait", "wait", "wait"]


def test_a_job_that_fails_ends_the_wait_and_its_log_is_named():
    cluster = Cluster(None, FAILED, waits=1)
    with pytest.raises(DevError, match=rf"kubectl -n object-store logs job/{NAME}.*\n.*AccessDenied"):
        chart.upload_models(cluster, IMAGE)


def test_a_failure_without_a_log_is_still_reported():
    cluster = Cluster(None, None, waits=1, has_log=False)
    with pytest.raises(DevError, match=r"timed out(.|\n)*cannot be read"):
        chart.upload_models(cluster, IMAGE)


def test_the_wait_has_an_end(monkeypatch):
    monkeypatch.setattr(chart, "_UPLOAD_SECONDS", 0)
    with pytest.raises(DevError, match="timed out"):
        chart.upload_models(Cluster(None, RUNNING, waits=1), IMAGE)
