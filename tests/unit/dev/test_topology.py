from __future__ import annotations

from tunewright_dev import topology


def test_the_nodes_pods_are_in_the_pod_range_and_ranges_do_not_overlap():
    assert topology.NODE_POD_RANGE.subnet_of(topology.POD_RANGE)
    assert not topology.POD_RANGE.overlaps(topology.SERVICE_RANGE)
    for address in (topology.DNS_SERVICE, topology.KUBERNETES_SERVICE, topology.OBJECT_STORE_SERVICE):
        assert address in topology.SERVICE_RANGE
