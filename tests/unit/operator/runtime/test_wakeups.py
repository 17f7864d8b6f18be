"""Wake-ups reach the loops that run, and only these."""

from __future__ import annotations

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB
from tunewright_operator.runtime.wakeups import Key, Wakeups

KEY = Key(FINE_TUNE_JOB, "ns", "job")


async def test_children_wake_their_owner_by_labels():
    wakeups = Wakeups()
    model = Key(BASE_MODEL, None, "smol")
    for key in (KEY, model):
        wakeups.register(key)
        await wakeups.wait(key, None)
    assert wakeups.wake_owner("ns", labels.build_labels(FINE_TUNE_JOB, "job", labels.Role.TRAIN))
    assert await wakeups.wait(KEY, 0)
    assert wakeups.wake_owner("tunewright-system", labels.build_labels(BASE_MODEL, "smol", labels.Role.INSPECT))
    assert await wakeups.wait(model, 0)
    assert not wakeups.wake_owner("other", labels.build_labels(FINE_TUNE_JOB, "job", labels.Role.TRAIN))
    assert not wakeups.wake_owner("ns", {})
    assert not await wakeups.wait(KEY, 0)


async def test_a_whole_kind_is_woken_by_namespace():
    wakeups = Wakeups()
    other = Key(FINE_TUNE_JOB, "other", "job")
    for key in (KEY, other):
        wakeups.register(key)
        await wakeups.wait(key, None)
    assert wakeups.wake_kind(FINE_TUNE_JOB, "ns") == 1
    assert not await wakeups.wait(other, 0)
    assert wakeups.wake_kind(FINE_TUNE_JOB) == 2
    assert wakeups.wake_kind(BASE_MODEL) == 0


async def test_a_new_loop_runs_at_once_and_then_waits_for_a_wake_up():
    wakeups = Wakeups()
    wakeups.register(KEY)
    assert wakeups.is_woken(KEY)
    assert await wakeups.wait(KEY, None)
    assert not wakeups.is_woken(KEY)
    assert not await wakeups.wait(KEY, 0)


async def test_two_wake_ups_before_a_wait_count_once():
    wakeups = Wakeups()
    wakeups.register(KEY)
    assert wakeups.wake(KEY)
    assert wakeups.wake(KEY)
    assert await wakeups.wait(KEY, None)
    assert not await wakeups.wait(KEY, 0)


async def test_a_loop_that_does_not_run_cannot_be_woken():
    wakeups = Wakeups()
    assert not wakeups.wake(KEY)
    wakeups.register(KEY)
    wakeups.forget(KEY)
    assert not wakeups.wake(KEY)
    assert not wakeups.is_woken(KEY)
    assert wakeups.wake_kind(FINE_TUNE_JOB) == 0


def test_a_key_is_written_as_kubectl_names_a_resource():
    assert str(KEY) == "FineTuneJob ns/job"
    assert str(Key(BASE_MODEL, None, "smol")) == "BaseModel smol"
