"""All adapters of a pod together stay within their volume."""

import pytest

import support.worlds.server_world as world
from tunewright_server.adapters.disk_budget import DiskBudget
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason


def test_adapters_share_the_volume():
    budget = DiskBudget(100)
    budget.reserve("a", 60)
    with pytest.raises(AdapterError, match="has 41 bytes, but the other adapters of this pod have 60 of 100") as caught:
        budget.reserve("b", 41)
    assert caught.value.failure.reason is AdapterReason.VOLUME_FULL
    assert caught.value.failure.retryable, "others may be removed"
    assert world.WHAT_TO_DO.search(str(caught.value))
    budget.reserve("b", 40)


def test_an_attempt_that_is_repeated_counts_once():
    budget = DiskBudget(100)
    budget.reserve("a", 60)
    budget.reserve("a", 70)
    budget.reserve("b", 30)


def test_a_removed_adapter_leaves_its_space():
    budget = DiskBudget(100)
    budget.reserve("a", 100)
    budget.release("a")
    budget.release("a")
    budget.reserve("b", 100)
