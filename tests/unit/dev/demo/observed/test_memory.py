"""Working sets of pods, from a kubelet's summary."""

from __future__ import annotations

from tunewright_dev.demo.observed import memory


def test_working_sets_are_in_mib_and_only_of_the_requested_namespaces():
    def pod(namespace, name, used):
        return {"podRef": {"namespace": namespace, "name": name}, "memory": used}

    pods = [
        pod("serving", "a", {"workingSetBytes": 3 * 2**20 + 5}),
        pod("serving", "starting", {}),
        pod("serving", "ending", {"workingSetBytes": 4096}),
        pod("other", "b", {"workingSetBytes": 1}),
    ]
    assert memory.read_working_sets({"pods": pods}, {"serving"}) == {"a": 3}
