"""Evaluation Jobs in the cluster: what exists, and what each action creates, renews and removes."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import FakeCluster, refer_to_controller
from support.clusters.fake_jobs import FakeJobs
from support.clusters.feeds import StoreFeed
from support.worlds.driven_poller import DrivenPoller
from support.worlds.job_worlds import DEFAULTS, FakeTrainers
from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_deployment_body
from tunewright_contracts.evaluation_report import EvaluationReport, EvaluationRequest, Verdict
from tunewright_contracts.progress import Phase, Progress
from tunewright_operator.api.adapter_deployment import AdapterDeployment, CandidateRevision
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, CONFIG_MAP, JOB, SECRET
from tunewright_operator.cluster import ConflictError, UnavailableError
from tunewright_operator.domain.rollout.actions import JobReference, WantedEvaluation
from tunewright_operator.domain.rollout.observation import EvaluationRun
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.reconcile.evaluations import Evaluations, read_report
from tunewright_operator.reconcile.signing_keys import SIGNING_KEY_SECRET, SigningKeys
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls

CANDIDATE = CandidateRevision(
    revision="support--2",
    digest=digest_of("two"),
    uri="s3://models/team/two",
    rank=8,
    base_model_digest=BASE_DIGEST,
    accepted_at="2026-01-01T00:00:00Z",
)
NAME = "support-evaluate-1"
KEY = Key(ADAPTER_DEPLOYMENT, "team", "support")
WANTED = WantedEvaluation(NAME, CANDIDATE, "s3://models/team/held-out.jsonl", "server-uid", "http://pool")


class Setting:
    """A cluster with one AdapterDeployment and its evaluations."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.readable_secrets.add(SIGNING_KEY_SECRET)
        self.clock = self.cluster.clock
        self.jobs = FakeJobs(self.cluster, "team")
        self.pods = FakeTrainers()
        self.driven = DrivenPoller(self.clock)
        polls = ProgressPolls(self.pods, self.driven.poller, self.driven.wake, kind="evaluator")
        feed = StoreFeed(self.cluster)
        keys = SigningKeys(feed.cluster, "tunewright-system")
        self.evaluations = Evaluations(feed.cluster, feed.reads, keys, DEFAULTS, polls)
        body = make_deployment_body(self.clock)
        body["spec"]["evaluation"] = {"metrics": [{"type": "ExactMatch", "minimum": "0.5"}]}
        self.owner = self.cluster.put(body)
        self.deployment = AdapterDeployment.from_body(self.owner)

    async def ensure(self) -> dict[str, Any]:
        await self.evaluations.ensure(self.owner, self.deployment, WANTED, self.clock())
        return self.cluster.peek(JOB, "team", NAME)

    async def observe(self, wanted: WantedEvaluation | None = WANTED) -> tuple[EvaluationRun, ...]:
        uid = self.owner["metadata"]["uid"]
        return await self.evaluations.observe(KEY, uid, wanted, self.clock())

    def token(self) -> dict[str, Any]:
        return self.cluster.peek(SECRET, "team", NAME)


async def test_an_evaluation_is_a_job_with_a_request_and_a_token() -> None:
    setting = Setting()
    job = await setting.ensure()
    config = setting.cluster.peek(CONFIG_MAP, "team", NAME)
    request = EvaluationRequest.from_json(config["data"]["evaluation.json"])
    assert (request.candidate, request.dataset_uri) == ("support--2", WANTED.dataset_uri)
    owners = [item["metadata"]["ownerReferences"][0]["uid"] for item in (config, setting.token())]
    assert owners == [job["metadata"]["uid"]] * 2
    created = [address[0] for verb, address in setting.cluster.writes if address[1] == "team"]
    assert created == ["Secret", "Job", "ConfigMap", "Secret"], (
        "the key is first; with a token there is always a request"
    )


@pytest.mark.parametrize(("kind", "verb"), [(CONFIG_MAP, "create"), (SECRET, "apply")])
async def test_an_interrupted_creation_is_completed(kind: Any, verb: str) -> None:
    setting = Setting()
    setting.cluster.fail_next(UnavailableError("no answer"), verb, kind, NAME)
    with pytest.raises(UnavailableError):
        await setting.ensure()
    job = await setting.ensure()
    assert setting.token()["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert len([address for _, address in setting.cluster.writes if address[0] == "Job"]) == 1


@pytest.mark.parametrize("kind", [JOB, CONFIG_MAP, SECRET], ids=str)
async def test_an_object_of_another_owner_is_not_changed(kind: Any) -> None:
    setting = Setting()
    metadata = {"name": NAME, "namespace": "team"}
    before = setting.cluster.put({"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata})
    with pytest.raises(NameTakenError, match=f"{kind} team/{NAME}"):
        await setting.ensure()
    assert setting.cluster.peek(kind, "team", NAME) == before


async def test_a_job_that_is_being_deleted_gets_no_token() -> None:
    setting = Setting()
    await setting.ensure()
    setting.cluster.remove(SECRET, "team", NAME)
    setting.cluster.edit(JOB, "team", NAME, lambda body: body["metadata"].update(deletionTimestamp=setting.clock.text))
    await setting.ensure()
    assert setting.cluster.find(SECRET, "team", NAME) is None


async def test_a_token_is_replaced_while_its_job_exists() -> None:
    setting = Setting()
    job = await setting.ensure()
    first = setting.token()
    setting.clock.advance(300)
    stale = JobReference(NAME, "another-uid")
    await setting.evaluations.renew_token(setting.deployment, WANTED, stale, setting.clock())
    assert setting.token() == first
    current = JobReference(NAME, job["metadata"]["uid"])
    await setting.evaluations.renew_token(setting.deployment, WANTED, current, setting.clock())
    assert setting.token()["data"] != first["data"]
    assert setting.token()["metadata"]["annotations"]["tunewright.dev/issued-at"] == setting.clock.text
    setting.cluster.remove(JOB, "team", NAME)
    await setting.evaluations.renew_token(setting.deployment, WANTED, current, setting.clock())
    assert setting.cluster.find(SECRET, "team", NAME) is None


async def test_a_job_is_removed_only_with_its_uid() -> None:
    setting = Setting()
    job = await setting.ensure()
    with pytest.raises(ConflictError):
        await setting.evaluations.remove("team", [JobReference(NAME, "another-uid")])
    assert setting.cluster.find(JOB, "team", NAME) is not None
    await setting.evaluations.remove("team", [JobReference(NAME, job["metadata"]["uid"])])
    assert [kind for kind in (JOB, CONFIG_MAP, SECRET) if setting.cluster.find(kind, "team", NAME)] == []


async def test_the_wanted_evaluation_is_observed_with_its_token() -> None:
    setting = Setting()
    assert await setting.observe() == ()
    await setting.ensure()
    (found,) = await setting.observe()
    assert (found.run.name, found.report, found.token_issued_at) == (NAME, None, setting.clock.text)
    (other,) = await setting.observe(None)
    assert (other.run.name, other.token_issued_at) == (NAME, None)


@pytest.mark.parametrize(("annotations", "issued_at"), [({"tunewright.dev/issued-at": "then"}, "then"), ({}, "")])
async def test_the_time_of_a_token_is_its_annotation(annotations: dict[str, str], issued_at: str) -> None:
    setting = Setting()
    await setting.ensure()
    setting.cluster.edit(SECRET, "team", NAME, lambda body: body["metadata"].update(annotations=annotations))
    (found,) = await setting.observe()
    assert found.token_issued_at == issued_at


async def test_a_token_of_another_owner_is_none() -> None:
    setting = Setting()
    await setting.ensure()
    setting.cluster.edit(
        SECRET, "team", NAME, lambda body: body["metadata"].update(ownerReferences=[refer_to_controller(setting.owner)])
    )
    (found,) = await setting.observe()
    assert found.token_issued_at is None


PROGRESS = Progress(phase=Phase.EVALUATING, evaluated=5, to_evaluate=400, updated_at="2026-01-01T00:00:00Z")


async def test_the_running_pod_is_polled_for_its_progress() -> None:
    setting = Setting()
    setting.pods.answers["10.0.0.7"] = PROGRESS
    await setting.ensure()

    async def observe(wanted: WantedEvaluation | None = WANTED) -> Progress | None:
        setting.clock.advance(5)
        (found,) = await setting.observe(wanted)
        await setting.driven.poller.poll_due()
        return found.progress

    assert await observe() is None
    assert setting.pods.asked == 0, "it does not run yet"
    setting.jobs.start(NAME)
    assert await observe() is None
    assert setting.driven.take_woken() == {KEY}
    assert await observe() == PROGRESS
    assert await observe(None) is None, "the step does not wait for it any more"
    asked = setting.pods.asked
    assert await observe(None) is None
    assert await observe() is None
    assert setting.pods.asked == asked + 1
    setting.jobs.die(NAME, exit_code=0, message=REPORT.to_json(), reason="Completed")
    assert await observe() is None
    assert setting.pods.asked == asked + 1, "it has ended"


REPORT = EvaluationReport(verdict=Verdict.PASS, reason="EvaluationPassed", message="better", candidate="support--2")


async def test_the_report_of_an_evaluation_is_read_from_its_own_pod() -> None:
    setting = Setting()
    await setting.ensure()
    setting.jobs.start(NAME)
    setting.jobs.die(NAME, exit_code=0, message=REPORT.to_json(), reason="Completed")
    (found,) = await setting.observe()
    assert found.report == REPORT


def terminated(*messages: tuple[str, str | None]) -> dict[str, Any]:
    """Return a pod with containers, each with its name and the termination message if it has ended."""
    statuses = [
        {"name": name, "state": {"terminated": {"message": message}} if message is not None else {}}
        for name, message in messages
    ]
    return {"status": {"containerStatuses": statuses}}


@pytest.mark.parametrize(
    ("pod", "report"),
    [
        ({}, None),
        (terminated(), None),
        (terminated(("evaluate", None)), None),
        (terminated(("evaluate", "Traceback: a bug")), None),
        (terminated(("evaluate", "{}")), None),
        (terminated(("evaluate", '{"verdict": ')), None),
        (terminated(("sidecar", REPORT.to_json())), None),
        (terminated(("evaluate", REPORT.to_json())), REPORT),
        (terminated(("sidecar", "{}"), ("evaluate", f"\n{REPORT.to_json()}")), REPORT),
    ],
)
def test_a_report_is_the_termination_message_of_the_evaluator(
    pod: dict[str, Any], report: EvaluationReport | None
) -> None:
    assert read_report(pod) == report
