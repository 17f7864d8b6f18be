"""The whole story on a fake cluster that behaves as expected, without waiting."""

from __future__ import annotations

import contextlib
import json

import pytest

from support.worlds.demo_cluster import DemoCluster, DemoTarget
from tunewright_dev.demo import manifests, story
from tunewright_dev.demo.observed.world import Source
from tunewright_dev.demo.output.summary import find_violations
from tunewright_dev.demo.output.view import PlainView
from tunewright_dev.demo.timing.reference import load_reference
from tunewright_dev.errors import DevError
from tunewright_dev.paths import find_paths

JOBS = [f"examples/support-triage/jobs/{name}.yaml" for name in ("1-first", "2-better", "3-shuffled", "4-refreshed")]


@pytest.fixture
def cluster(paths):
    paths.clone.mkdir()
    (paths.clone / "examples").symlink_to(find_paths().clone / "examples")
    paths.build.mkdir()
    (paths.build / "images.json").write_text(json.dumps({"operator": "registry/operator:1"}))
    return DemoCluster(paths.clone)


@pytest.fixture
def play(paths, cluster, monkeypatch):
    """Return a function that plays the story with its options and returns the summary."""
    monkeypatch.setattr(story, "Feed", lambda _: contextlib.nullcontext(cluster))

    def run(**options):
        return story.Story(DemoTarget(paths, cluster), cluster, PlainView(), **options).play(None)

    return run


def test_four_jobs_end_as_documented(play, cluster, capsys):
    summary = play()
    assert find_violations(summary) == []
    assert [(one.outcome, one.stage, one.candidate_share_percent) for one in summary.rollouts] == [
        ("Promoted", "bake", 100),
        ("Promoted", "bake", 100),
        ("RolledBack", "evaluate", 0),
        ("RolledBack", "observe at 20 %", 20),
    ]
    assert list(summary.seconds.stages) == list(load_reference().seconds.stages)
    assert summary.speed.tokens_per_second == 64.0  # 16 tokens each quarter of a second
    said = capsys.readouterr().out
    assert "the pool generates 64.0 tokens/s for 24 requests at a time" in said
    assert "support-triage-4" in said
    assert "No progress" not in said


def test_every_source_is_watched(play, cluster):
    play()
    assert cluster.sources == set(Source)


def test_customers_send_many_requests_during_a_canary_and_few_otherwise(play, cluster):
    play()
    assert set(cluster.paces) == {"--set-customers=1", "--set-customers=24", "--set-customers=-1"}
    assert cluster.paces[-1] == "--set-customers=-1"
    pairs = zip(cluster.paces, cluster.paces[1:], strict=False)
    assert all(earlier != later for earlier, later in pairs)


def test_the_measurement_leaves_nothing_behind(play, cluster):
    play()
    names = [name for arguments in cluster.deleted for name in arguments if not name.startswith("-")]
    assert names == ["pod/speed", "configmap/speed", "adapterdeployment/speed"]


def test_a_slow_machine_gets_larger_limits_in_a_copy_of_the_manifest(play, cluster, paths, monkeypatch):
    cluster.tokens_per_answer = 1
    summary = play()
    assert summary.speed.tokens_per_second == 4.0
    assert find_violations(summary) == []
    assert [path for path in cluster.applied if "adapter" in path] == ["build/demo/adapter-deployment.yaml"]
    (observe,) = {
        json.dumps(step["observe"])
        for step in manifests.read(paths.build / "demo" / "adapter-deployment.yaml")["spec"]["rollout"]["steps"]
        if "observe" in step
    }
    assert json.loads(observe) == {"minRequests": 100, "maxSeconds": 40_000}
    assert [path for path in cluster.applied if "jobs" in path] == JOBS


def test_a_share_of_the_cpu_limits_servers_and_trainers(play, cluster, paths):
    play(cpu_percent=50)
    assert "build/demo/model-server.yaml" in cluster.applied
    limits = {
        path.name: manifests.read(path)["spec"]["resources"]["limits"]["cpu"]
        for path in (paths.build / "demo").glob("*.yaml")
        if path.name != "adapter-deployment.yaml"
    }
    trainers = {path.rpartition("/")[2]: "1000m" for path in JOBS}
    assert limits == {"model-server.yaml": "500m", **trainers}


def test_a_failed_job_ends_the_story_with_its_conditions(play, cluster, monkeypatch):
    def fail(name):
        condition = {"type": "Succeeded", "status": "False", "reason": "InvalidRecords", "message": "line 41"}
        status = {"phase": "Failed", "conditions": [condition]}
        cluster._emit(Source.JOBS, {"metadata": {"name": name, "generation": 1}, "status": status})

    monkeypatch.setattr(cluster, "_play_job", fail)
    with pytest.raises(DevError, match=r"support-triage-1 failed\. Succeeded=False InvalidRecords: line 41"):
        play()


def test_customers_whose_pod_ends_end_the_story(play, cluster, monkeypatch):
    roll_out = cluster._roll_out

    def lose(job, revision):
        roll_out(job, revision)
        cluster._emit(Source.CUSTOMERS, ended=True)

    monkeypatch.setattr(cluster, "_roll_out", lose)
    with pytest.raises(DevError, match="customers' pod ended before the story"):
        play()


def test_a_measurement_without_answers_ends_the_story(play, cluster, monkeypatch):
    monkeypatch.setattr(cluster, "follow", lambda source, *_: cluster._emit(source, ended=True))
    with pytest.raises(DevError, match="logs speed"):
        play()


def test_an_adapter_that_the_pool_refuses_ends_the_measurement_at_once(play, cluster, monkeypatch):
    def refuse(objects):
        history = [
            {"revision": "speed--0", "outcome": "RolledBack", "reason": "AdapterRefused", "message": "RankTooHigh"}
        ]
        body = {"metadata": {"generation": 1}, "status": {"history": history}}
        cluster._emit(Source.SPEED_DEPLOYMENT, body)

    monkeypatch.setattr(cluster, "apply", refuse)
    with pytest.raises(DevError, match=r"do not serve the adapter .* AdapterRefused: RankTooHigh"):
        play()
