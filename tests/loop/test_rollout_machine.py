"""The rollout under random sequences of events.

It checks that weights sum to 100 when any target may answer, that the incumbent is not unloaded before the bake ends,
that killing the operator between two writes changes no decision, that each promotion needs a Pass of every step or a
manual request, and that a candidate without weight answers no client.
"""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.examples import examples
from support.worlds.rollout_world import READING_SECONDS, RolloutWorld, digest_of, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, CandidateRevision, Outcome
from tunewright_operator.domain.rollout.evaluation.job import view_evaluation
from tunewright_operator.domain.rollout.observation import Seen, Situation
from tunewright_operator.domain.rollout.requests import find_kept_promotion, list_pending
from tunewright_operator.domain.rollout.weight import find_weight
from tunewright_operator.domain.serving.weights import desired_targets
from tunewright_operator.domain.times import seconds_since

WORDS = ("one", "two", "three")
STEPS: list[dict[str, Any]] = [
    {"evaluate": {}},
    {"setWeight": 30},
    {"observe": {"minRequests": 20, "maxSeconds": 300}},
    {"pause": {}},
    {"setWeight": 60},
    {"pause": {"seconds": 30}},
]


@functools.cache
def build_promoted_world() -> RolloutWorld:
    """Return the world in which "one" followed "three". Every example starts with a copy of it."""
    world = RolloutWorld(STEPS)
    world.promote_first("three")
    world.promote_first("one")
    return world


class RolloutMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = RolloutWorld(STEPS)
        self.nonce = 0
        self.sessions = 0
        self.exposed: set[str] = set()
        """Revisions that had weight at some time: only these may answer."""
        self.asked: dict[tuple[str, str], int] = {}
        """(candidate's acceptance, revision) → answers since its window opened, counted by the clients themselves."""

    @initialize(has_incumbent=st.booleans())
    def begin(self, has_incumbent: bool) -> None:
        if has_incumbent:
            self.world = copy.deepcopy(build_promoted_world())
            self.exposed.add(revision_of("three"))
            self.exposed.add(revision_of("one"))
        self.world.name_adapter("two")

    # What the operator does ------------------------------------------------------------------------------------

    @rule()
    def rollout_loop(self) -> None:
        situation, now = self.world.situation(), self.world.now
        first, again = self.world.decide(), self.world.decide()
        assert first == again, "a decision without a write changed the next one"
        decision = self.world.step()
        self.check_transition(situation, self.world.deployment.status)
        candidate = decision.status.candidate
        if candidate is not None and candidate.ending is None and not decision.again:
            assert candidate.weight <= find_weight(situation, candidate), "a weight was not lowered at once"
        assert now == self.world.now

    @rule()
    def candidate_does_well(self) -> None:
        """Let a candidate pass all that good answers can pass, so that examples often reach the bake."""
        self.everything_settles()
        self.evaluation_ends(Verdict.PASS)
        self.everything_settles()
        self.clients_ask(200, None)
        self.everything_settles()

    @rule()
    def candidate_breaks_live(self) -> None:
        self.everything_settles()
        self.evaluation_ends(Verdict.PASS)
        self.everything_settles()
        for word in WORDS:
            candidate = self.world.deployment.status.candidate
            if candidate is not None and candidate.revision == revision_of(word):
                self.clients_ask(400, word)
        self.rollout_loop()

    @rule()
    def operator_dies_before_its_write(self) -> None:
        before = json.dumps(self.world.body)
        self.world.decide()
        self.world.restart_operator()
        assert json.dumps(self.world.body) == before

    @rule()
    def server_loop(self) -> None:
        status = self.world.deployment.status
        self.world.plan_next()
        assert self.world.plan is not None
        names = {adapter.name for adapter in self.world.plan.adapters}
        if status.stable is not None:
            assert status.stable.revision in names, "the incumbent left the plan"

    @rule(index=st.integers(0, 1))
    def plan_reaches_pod(self, index: int) -> None:
        if self.world.plan is not None:
            self.world.pods[index].apply(self.world.plan)

    @rule()
    def everything_settles(self) -> None:
        for _ in range(12):
            before = self.world.fingerprint()
            self.rollout_loop()
            self.server_loop()
            self.world.push()
            if self.world.fingerprint() == before:
                break

    # What happens to it ----------------------------------------------------------------------------------------

    @rule(word=st.sampled_from(WORDS))
    def name_adapter(self, word: str) -> None:
        self.world.name_adapter(word)

    @rule(verdict=st.sampled_from([Verdict.PASS, *Verdict]))
    def evaluation_ends(self, verdict: Verdict) -> None:
        candidate = self.world.deployment.status.candidate
        if candidate is not None and candidate.step == 0 and candidate.step_started_at is not None:
            self.world.finish_evaluation(verdict)

    @rule(verb=st.sampled_from(["promote", "abort", "retry", "rollback"]), word=st.sampled_from(WORDS))
    def annotate(self, verb: str, word: str) -> None:
        self.nonce += 1
        self.world.annotate(verb, word, str(self.nonce))

    @rule(verb=st.sampled_from(["promote", "abort", "retry"]))
    def annotate_candidate(self, verb: str) -> None:
        candidate = self.world.deployment.status.candidate
        if candidate is not None:
            self.nonce += 1
            self.world.body["metadata"]["annotations"][f"tunewright.dev/{verb}"] = f"{candidate.revision}@{self.nonce}"

    @rule()
    def ask_for_earlier_revision(self) -> None:
        history = self.world.deployment.status.history
        if history:
            self.nonce += 1
            self.world.body["metadata"]["annotations"]["tunewright.dev/rollback"] = (
                f"{history[-1].revision}@{self.nonce}"
            )

    @rule(policy=st.sampled_from(["Pause", "Rollback", "Promote"]))
    def change_policy(self, policy: str) -> None:
        self.world.body["spec"]["rollout"]["onInconclusive"] = policy

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.world.body["spec"]["paused"] = paused

    @rule(first=st.sampled_from([10, 30, 40]), second=st.sampled_from([50, 60]))
    def edit_weights(self, first: int, second: int) -> None:
        steps = copy.deepcopy(STEPS)
        steps[1]["setWeight"], steps[4]["setWeight"] = first, second
        self.world.body["spec"]["rollout"]["steps"] = steps

    @rule(seconds=st.sampled_from([1, 31, 121, 301]))
    def time_passes(self, seconds: float) -> None:
        while seconds > READING_SECONDS:
            self.world.clock.skip(READING_SECONDS)
            seconds -= READING_SECONDS
            self.rollout_loop()
        self.world.clock.skip(seconds)

    @rule(seconds=st.sampled_from([31, 301]))
    def time_passes_without_an_operator(self, seconds: int) -> None:
        self.world.restart_operator()
        self.world.clock.skip(seconds)

    @rule(count=st.sampled_from([5, 100]), broken=st.sampled_from([None, *WORDS]))
    def clients_ask(self, count: int, broken: str | None) -> None:
        bad = {revision_of(broken): {"ErrorRate"}} if broken else {}
        answers = self.world.ask(count, bad, self.sessions)
        self.sessions += count
        candidate = self.world.deployment.status.candidate
        for answer in answers:
            if answer is not None:
                assert answer in self.exposed, f"a client was answered by {answer}, which never had weight"
                if candidate is not None:
                    key = (candidate.accepted_at, answer)
                    self.asked[key] = self.asked.get(key, 0) + 1

    @rule(index=st.integers(0, 1))
    def pod_restarts(self, index: int) -> None:
        self.world.pods[index].restart(self.world.plan)

    @rule(index=st.integers(0, 1), ready=st.booleans())
    def readiness_changes(self, index: int, ready: bool) -> None:
        self.world.pods[index].ready = ready

    @rule(index=st.integers(0, 1), reachable=st.booleans())
    def pod_stops_answering(self, index: int, reachable: bool) -> None:
        self.world.pods[index].reachable = reachable

    @rule(index=st.integers(0, 1), word=st.sampled_from(WORDS), permanently=st.booleans())
    def pod_cannot_load(self, index: int, word: str, permanently: bool) -> None:
        pod = self.world.pods[index]
        if revision_of(word) not in pod.loaded:
            (pod.broken if permanently else pod.retrying)[revision_of(word)] = (
                "not safetensors" if permanently else "access denied"
            )

    @rule()
    def pods_recover(self) -> None:
        for pod in self.world.pods:
            pod.broken.clear()
            pod.retrying.clear()
            pod.load()
            pod.ready = pod.reachable = True

    # What must hold --------------------------------------------------------------------------------------------

    def check_transition(self, situation: Situation, after: AdapterDeploymentStatus) -> None:
        before = situation.status
        if after.stable != before.stable:
            assert before.candidate is not None, "stable changed without a candidate"
            assert after.stable is not None
            assert after.stable.digest == before.candidate.digest
            self.check_bake(situation, before.candidate)
        if before.candidate is None and after.candidate is not None:
            self.check_acceptance(situation, after.candidate)
        if (
            before.candidate is not None
            and after.candidate is not None
            and after.candidate.step != before.candidate.step
        ):
            assert after.candidate.step == before.candidate.step + 1, "a step was skipped"
            self.check_step(situation, before.candidate)
        self.exposed.update(desired_targets(after))

    def requested(self, situation: Situation, verb: str, revision: str) -> bool:
        """Return whether a manual request for a revision waits to be handled."""
        pending = list_pending(situation.annotations, situation.status.last_handled_requests)
        return any(request.verb == verb and request.revision == revision for request in pending)

    def takes_kept_promotion(self, situation: Situation) -> bool:
        """Return whether the last decision took a promote request that was kept."""
        before = find_kept_promotion(situation.status, situation.annotations)
        after = self.world.deployment.status.candidate
        return before is not None and (after is None or after.kept_promotion is None)

    def check_acceptance(self, situation: Situation, candidate: CandidateRevision) -> None:
        assert candidate.weight == 0
        last = next((entry for entry in situation.status.history if entry.digest == candidate.digest), None)
        if last is not None and last.outcome in {Outcome.ROLLED_BACK, Outcome.ABORTED}:
            assert self.requested(situation, "retry", candidate.revision) or self.requested(
                situation, "rollback", candidate.revision
            ), "a digest that was rolled back returned without a request"
        if candidate.step:
            assert last is not None
            assert last.outcome is Outcome.PROMOTED, "steps were skipped for a revision that was not promoted last"

    def check_step(self, situation: Situation, candidate: CandidateRevision) -> None:
        if self.requested(situation, "promote", candidate.revision):
            return
        assert not situation.spec.paused, "a step passed while paused"
        policy = situation.spec.rollout.on_inconclusive
        step = self.world.body["spec"]["rollout"]["steps"][candidate.step]
        if self.takes_kept_promotion(situation):
            assert step == {"pause": {}} or policy == "Pause", "a kept request passed a step that did not wait for it"
            return
        if "evaluate" in step:
            report = view_evaluation(situation, self.world.now).report
            assert report is not None
            assert report.verdict is Verdict.PASS or (report.verdict, policy) == (Verdict.INCONCLUSIVE, "Promote")
        elif "observe" in step:
            assert candidate.step_started_at is not None
            over = seconds_since(candidate.step_started_at, self.world.now) >= step["observe"]["maxSeconds"]
            enough = self.asked.get((candidate.accepted_at, candidate.revision), 0) >= step["observe"]["minRequests"]
            assert enough or (over and policy == "Promote"), "an observation passed without its answers"
        elif "setWeight" in step:
            assert situation.converged
            assert desired_targets(situation.status)[candidate.revision] in {step["setWeight"], 100}
        elif step["pause"]:
            assert candidate.step_started_at is not None
            assert seconds_since(candidate.step_started_at, self.world.now) >= step["pause"]["seconds"]
        else:
            raise AssertionError("a pause without a time ended without a manual request")

    def check_bake(self, situation: Situation, candidate: CandidateRevision) -> None:
        assert candidate.step == len(STEPS), "promoted before its steps ended"
        assert candidate.weight == 100
        assert candidate.ending is None
        if not self.requested(situation, "promote", candidate.revision):
            assert not situation.spec.paused, "promoted while paused"
            assert candidate.step_started_at is not None
            assert seconds_since(candidate.step_started_at, self.world.now) >= 120
            assert isinstance(situation.server, Seen)
            assert situation.server.facts.has_loaded(candidate.revision), (
                "a revision became stable while a replica lacked it"
            )

    @invariant()
    def weights_sum_to_100(self) -> None:
        status = self.world.deployment.status
        targets = desired_targets(status)
        assert sum(targets.values()) == (100 if targets else 0)
        if status.stable is not None:
            assert targets, "an alias with a stable revision has no target"
        for route in self.world.plan.routes if self.world.plan else ():
            assert sum(target.weight for target in route.targets) in {0, 100}
            names = {adapter.name for adapter in self.world.plan.adapters} if self.world.plan else set()
            assert {target.name for target in route.targets} <= names, "a route to a revision that is not loaded"

    @invariant()
    def incumbent_stays_loaded(self) -> None:
        stable = self.world.deployment.status.stable
        if stable is None:
            return
        for pod in self.world.pods:
            if pod.plan is not None:
                assert stable.revision in {adapter.name for adapter in pod.plan.adapters}, (
                    "a pod's plan lacks the incumbent"
                )

    @invariant()
    def status_fits_the_api(self) -> None:
        assert len(json.dumps(self.world.body["status"])) < 64 * 1024

    @precondition(lambda self: self.world.deployment.status.candidate is not None)
    @invariant()
    def candidate_is_not_stable(self) -> None:
        status = self.world.deployment.status
        assert status.candidate is not None
        assert status.stable is None or status.stable.digest != status.candidate.digest
        assert status.candidate.digest in {digest_of(word) for word in WORDS}


TestRolloutMachine = RolloutMachine.TestCase
TestRolloutMachine.settings = settings(
    max_examples=examples(20), stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
