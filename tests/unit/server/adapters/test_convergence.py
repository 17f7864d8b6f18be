"""Load, route, stop routing, drain, unload, delete: in this order, for any sequence of plans."""

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import support.worlds.server_world as world
from support.examples import examples
from tunewright_contracts.serving_plan import AdapterEntry, AdapterPhase
from tunewright_server.adapters import convergence
from tunewright_server.adapters.convergence import AdapterRecord
from tunewright_storage.adapter_reasons import AdapterFailure, AdapterReason
from tunewright_storage.errors import CONTENT_PROBLEMS, StorageError, StorageReason


def make_entry(number: int) -> AdapterEntry:
    digest = f"sha256:{number:064x}"
    return AdapterEntry(name=f"support--{number}", digest=digest, uri="s3://bucket/a", rank=4, namespace="a")


A, B, C = make_entry(1), make_entry(2), make_entry(3)


def decide(wanted, records, in_flight=None, *, now=0.0, slots=8, parallel=2):
    known = {record.entry.name: record for record in records}
    plan = world.make_plan(1, wanted)
    return convergence.decide_actions(plan, known, in_flight or {}, now, slots=slots, parallel=parallel)


def record(entry, phase, **changes) -> AdapterRecord:
    return AdapterRecord(entry, phase, **{"since": 0.0, **changes})


def failure(reason, message="m", *, retryable=False) -> AdapterFailure:
    return AdapterFailure(reason, message, retryable=retryable)


def test_a_new_adapter_is_admitted_and_then_loaded():
    assert decide([A], []) == (convergence.Admit(A),)
    assert decide([A], [record(A, AdapterPhase.PENDING)]) == (convergence.BringUp(A.name),)
    assert decide([A], [record(A, AdapterPhase.FETCHING)]) == ()
    assert decide([A], [record(A, AdapterPhase.LOADED)]) == ()


def test_an_unwanted_adapter_drains_before_it_is_unloaded():
    assert decide([], [record(A, AdapterPhase.LOADED)]) == (convergence.Drain(A.name),)
    draining = [record(A, AdapterPhase.DRAINING)]
    assert decide([], draining, {A.name: 1}) == ()
    assert decide([], draining) == (convergence.Unload(A.name),)


def test_a_draining_adapter_that_is_wanted_again_is_revived():
    assert decide([A], [record(A, AdapterPhase.DRAINING)], {A.name: 1}) == (convergence.Revive(A.name),)


def test_an_adapter_to_reload_drains_and_is_then_loaded_again():
    loaded = record(A, AdapterPhase.LOADED, attempts=2)
    assert convergence.may_reload(loaded, 0.0)
    reloading = loaded.to_reload(5.0)
    assert reloading == dataclasses.replace(loaded, phase=AdapterPhase.DRAINING, reloading=True, reload_after=65.0)
    assert decide([A], [reloading], {A.name: 1}) == ()
    assert decide([A], [reloading]) == (convergence.Reload(A.name),)
    assert decide([], [reloading]) == (convergence.Unload(A.name),)
    unloaded = reloading.unloaded()
    assert unloaded == record(A, AdapterPhase.PENDING, reload_after=65.0)
    assert decide([A], [unloaded]) == (convergence.BringUp(A.name),)
    for again in (unloaded.loaded(), reloading.loaded()):
        assert not again.reloading
        assert [convergence.may_reload(again, now) for now in (64.9, 65.0)] == [False, True]
    assert not convergence.may_reload(reloading, 100.0)


def test_an_adapter_that_was_never_loaded_is_forgotten():
    for phase in (AdapterPhase.PENDING, AdapterPhase.RETRYING, AdapterPhase.FAILED):
        assert decide([], [record(A, phase)]) == (convergence.Forget(A.name),)


def test_a_failed_adapter_is_not_retried_and_a_retry_waits_for_its_time():
    assert decide([A], [record(A, AdapterPhase.FAILED)]) == ()
    waiting = [record(A, AdapterPhase.RETRYING, retry_at=10.0)]
    assert decide([A], waiting, now=9.9) == ()
    assert decide([A], waiting, now=10.0) == (convergence.BringUp(A.name),)


def test_the_same_content_at_another_uri_is_read_from_there():
    moved = A.updated(uri="s3://bucket/moved")
    assert decide([moved], [record(A, AdapterPhase.LOADED)]) == (convergence.Readdress(moved),)
    waiting = record(A, AdapterPhase.RETRYING, retry_at=60.0)
    assert decide([moved], [waiting], now=1.0) == (convergence.Readdress(moved),)


def test_other_content_under_the_same_name_is_loaded_after_the_first_was_drained():
    other = A.updated(digest="sha256:" + "f" * 64)
    assert decide([other], [record(A, AdapterPhase.LOADED)]) == (convergence.Drain(A.name),)


def test_slots_and_parallel_fetches_are_limited():
    pending = [record(entry, AdapterPhase.PENDING) for entry in (A, B, C)]
    assert len(decide([A, B, C], pending)) == 2
    assert len(decide([A, B, C], pending, parallel=9)) == 3
    full = [record(A, AdapterPhase.LOADED), record(B, AdapterPhase.DRAINING), record(C, AdapterPhase.PENDING)]
    assert convergence.BringUp(C.name) not in decide([A, C], full, {B.name: 1}, slots=2)


def test_a_suspect_is_loaded_alone_after_all_others():
    suspects = [record(entry, AdapterPhase.PENDING).suspected() for entry in (A, B)]
    pending = record(C, AdapterPhase.PENDING)
    assert decide([A, B, C], [*suspects, pending]) == (convergence.BringUp(C.name),)
    assert decide([A, B, C], suspects) == (convergence.Admit(C),)
    assert decide([A, B, C], [*suspects, record(C, AdapterPhase.FETCHING)]) == ()
    for phase in (AdapterPhase.LOADED, AdapterPhase.FAILED):
        assert decide([A, B, C], [*suspects, record(C, phase)]) == (convergence.BringUp(A.name),)
    assert decide([A, B], suspects, slots=0) == ()
    assert convergence.is_settled(world.make_plan(1, [A, B]), {s.entry.name: s for s in suspects}, 0.0, 120.0)
    assert not suspects[0].loaded().suspect


def test_a_load_over_the_deadline_is_final():
    failed = convergence.record_failure(record(A, AdapterPhase.FETCHING), failure(AdapterReason.LOAD_DEADLINE), 0.0)
    assert failed.phase is AdapterPhase.FAILED


def test_pauses_after_transient_failures_grow_up_to_a_minute():
    failing, waits = record(A, AdapterPhase.FETCHING), []
    for _ in range(9):
        failing = convergence.record_failure(failing, failure(StorageReason.UNREACHABLE, retryable=True), 0.0)
        waits.append(failing.retry_at)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_refusal_of_storage_is_reported_at_once_and_retried_every_minute():
    failed = convergence.record_failure(record(A, AdapterPhase.FETCHING), failure(StorageReason.ACCESS_DENIED), 5.0)
    assert (failed.phase, failed.retry_at) == (AdapterPhase.RETRYING, 65.0), "the adapter may still be good"
    plan, limits = world.make_plan(1, [A]), {"slots": 1, "parallel": 1}
    assert convergence.decide_actions(plan, {A.name: failed}, {}, 64.9, **limits) == ()
    assert convergence.decide_actions(plan, {A.name: failed}, {}, 65.0, **limits) == (convergence.BringUp(A.name),)
    assert convergence.find_next_wake({A.name: failed}) == 65.0
    again = dataclasses.replace(failed, phase=AdapterPhase.FETCHING)
    assert convergence.is_settled(plan, {A.name: again}, 65.0, 120.0), "the pod stays ready during retries"
    elsewhere = convergence.record_failure(record(A, AdapterPhase.FETCHING), failure(StorageReason.WRONG_REGION), 5.0)
    assert elsewhere.retry_at == 65.0
    broken = convergence.record_failure(record(A, AdapterPhase.FETCHING), failure(StorageReason.DIGEST_MISMATCH), 5.0)
    assert broken.phase is AdapterPhase.FAILED
    assert convergence.decide_actions(plan, {A.name: broken}, {}, 9999.0, **limits) == ()


@pytest.mark.parametrize("reason", set(StorageReason) - CONTENT_PROBLEMS - {StorageReason.INVALID_URI})
def test_only_a_problem_of_the_content_is_evidence_against_an_adapter(reason):
    retryable = StorageError(reason, "no").retryable
    failed = convergence.record_failure(record(A, AdapterPhase.FETCHING), failure(reason, retryable=retryable), 0.0)
    assert failed.phase is AdapterPhase.RETRYING


def test_a_refusal_of_vllm_is_final_at_the_third_time():
    failing = record(A, AdapterPhase.FETCHING)
    phases = []
    for _ in range(3):
        failing = convergence.record_failure(failing, failure(AdapterReason.LOAD_FAILED, retryable=True), 0.0)
        phases.append(failing.phase)
    assert phases == [AdapterPhase.RETRYING, AdapterPhase.RETRYING, AdapterPhase.FAILED]


def test_a_message_is_cut_in_the_middle_and_can_be_encoded_as_json():
    text = "tensor \ud800" + "x" * 1_100_000 + "; train again"
    failed = convergence.record_failure(
        record(A, AdapterPhase.FETCHING), failure(AdapterReason.NOT_SAFETENSORS, text), 0.0
    )
    assert len(failed.failure.message) == 512
    assert failed.failure.message.startswith("tensor \\ud800xx")
    assert failed.failure.message.endswith("xx; train again")
    assert failed.failure.message.encode()


def test_a_record_after_each_change():
    failed = convergence.record_failure(record(A, AdapterPhase.FETCHING), failure(AdapterReason.NOT_SAFETENSORS), 0.0)
    assert failed.given_up
    draining = failed.in_phase(AdapterPhase.DRAINING)
    assert draining == dataclasses.replace(failed, phase=AdapterPhase.DRAINING)
    moved = failed.at_address(A.updated(uri="s3://bucket/moved"))
    assert (moved.entry.uri, moved.phase, moved.failure) == ("s3://bucket/moved", AdapterPhase.FAILED, failed.failure)
    loaded = failed.loaded()
    assert (loaded.phase, loaded.failure, loaded.given_up) == (AdapterPhase.LOADED, None, False)


def test_the_next_wake_is_the_earliest_retry():
    retries = {entry.name: record(entry, AdapterPhase.RETRYING, retry_at=at) for entry, at in ((A, 7.0), (B, 5.0))}
    failed = {C.name: record(C, AdapterPhase.FAILED, retry_at=1.0)}
    assert convergence.find_next_wake(retries | failed) == 5.0
    assert convergence.find_next_wake(failed) is None


def test_settled():
    plan = world.make_plan(1, [A])

    def settled(phase, now=0.0):
        return convergence.is_settled(plan, {A.name: record(A, phase)}, now, 120.0)

    assert not convergence.is_settled(None, {}, 0.0, 120.0)
    assert convergence.is_settled(world.make_plan(1), {}, 0.0, 120.0)
    assert not convergence.is_settled(plan, {}, 0.0, 120.0)
    assert settled(AdapterPhase.LOADED)
    assert settled(AdapterPhase.FAILED)
    for phase in (AdapterPhase.PENDING, AdapterPhase.FETCHING, AdapterPhase.RETRYING):
        assert not settled(phase, 119.9)
        assert settled(phase, 120.0)
    assert not settled(AdapterPhase.DRAINING, 500.0)


class AnyPlans(RuleBasedStateMachine):
    """Random plans, requests and failures against a model of vLLM's slots."""

    SLOTS = 3

    def __init__(self):
        super().__init__()
        self.wanted: list[AdapterEntry] = []
        self.records: dict[str, AdapterRecord] = {}
        self.in_flight: dict[str, int] = {}
        self.loaded: set[str] = set()
        self.now = 0.0

    @rule(numbers=st.sets(st.integers(1, 5)))
    def plan(self, numbers):
        self.wanted = [make_entry(number) for number in sorted(numbers)]

    @rule(number=st.integers(1, 5))
    def request(self, number):
        name = make_entry(number).name
        if name in self.records and self.records[name].phase is AdapterPhase.LOADED:
            self.in_flight[name] = self.in_flight.get(name, 0) + 1

    @rule(number=st.integers(1, 5))
    def lose(self, number):
        name = make_entry(number).name
        if name in self.records and convergence.may_reload(self.records[name], self.now):
            self.records[name] = self.records[name].to_reload(self.now)

    @rule()
    def answer_all(self):
        self.in_flight.clear()

    @rule(ok=st.booleans(), retryable=st.booleans())
    def fetched(self, ok, retryable):
        for name, item in list(self.records.items()):
            if item.phase is AdapterPhase.FETCHING:
                if ok:
                    self.loaded.add(name)
                    self.records[name] = dataclasses.replace(item, phase=AdapterPhase.LOADED)
                else:
                    self.records[name] = convergence.record_failure(
                        item, failure(AdapterReason.SHAPE_MISMATCH, retryable=retryable), self.now
                    )

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def step(self):
        plan = world.make_plan(1, self.wanted)
        for action in convergence.decide_actions(
            plan, self.records, self.in_flight, self.now, slots=self.SLOTS, parallel=2
        ):
            match action:
                case convergence.Admit(entry):
                    assert entry.name not in self.records
                    self.records[entry.name] = AdapterRecord(entry, AdapterPhase.PENDING, self.now)
                case convergence.BringUp(name):
                    assert name not in self.loaded
                    self._set(name, AdapterPhase.FETCHING)
                case convergence.Drain(name):
                    self._set(name, AdapterPhase.DRAINING)
                case convergence.Revive(name):
                    assert name in self.loaded
                    self._set(name, AdapterPhase.LOADED)
                case convergence.Unload(name):
                    assert not self.in_flight.get(name)
                    assert self.records[name].phase is AdapterPhase.DRAINING
                    self.loaded.remove(name)
                    del self.records[name]
                case convergence.Reload(name):
                    assert not self.in_flight.get(name)
                    self.loaded.remove(name)
                    self.records[name] = self.records[name].unloaded()
                case convergence.Forget(name):
                    assert name not in self.loaded
                    del self.records[name]

    def _set(self, name, phase):
        self.records[name] = dataclasses.replace(self.records[name], phase=phase)

    @invariant()
    def nothing_is_evicted(self):
        holding = [item for item in self.records.values() if item.phase is AdapterPhase.FETCHING]
        assert len(self.loaded) + len(holding) <= self.SLOTS

    def teardown(self):
        """After all requests and fetches have ended, the pod has exactly the adapters of its plan."""
        for _ in range(20):
            self.answer_all()
            self.now += 100
            self.step()
            self.fetched(ok=True, retryable=True)
        names = {entry.name for entry in self.wanted}
        assert self.loaded <= names
        failed = {name for name, item in self.records.items() if item.phase is AdapterPhase.FAILED}
        assert len(self.loaded) == min(self.SLOTS, len(names - failed))


TestAnyPlans = AnyPlans.TestCase
TestAnyPlans.settings = settings(max_examples=examples(60), stateful_step_count=30)
