from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.local import host

SUPPORTED = host.Host(
    system="Linux",
    architecture="x86_64",
    distribution="debian 12",
    is_root=True,
    cores=2,
    memory_gib=23.4,
    free_disk_gib=60,
    free_cache_gib=None,
    filesystems=frozenset({"overlay"}),
)


def test_a_bare_debian_12_is_supported():
    assert host.find_problems(SUPPORTED, disk_gib=40, cache_gib=12) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "aarch64"}, "needs Linux on x86_64, this is Linux on aarch64"),
        ({"distribution": "ubuntu 24.04"}, "this is ubuntu 24.04"),
        ({"is_root": False}, "needs root"),
        ({"cores": 1}, "needs 2 cores, this has 1"),
        ({"memory_gib": 7.7}, "GiB of memory, this has 8"),
        ({"free_disk_gib": 12.0}, "needs 40 GiB of free disk, this has 12"),
        ({"free_cache_gib": 5.0}, "needs 12 GiB of free disk for its cache, this has 5"),
        ({"filesystems": frozenset({"ext4"})}, "needs a kernel with overlayfs"),
    ],
)
def test_each_missing_prerequisite_is_named(change, message):
    (problem,) = host.find_problems(dataclasses.replace(SUPPORTED, **change), disk_gib=40, cache_gib=12)
    assert message in problem


def test_all_missing_prerequisites_are_reported_at_once():
    poor = dataclasses.replace(SUPPORTED, cores=1, is_root=False, distribution="fedora 42")
    assert len(host.find_problems(poor, disk_gib=40, cache_gib=12)) == 3


@pytest.mark.parametrize(("device", "expected"), [(1, None), (2, 4.0)])
def test_the_cache_is_measured_when_it_is_on_another_file_system(monkeypatch, paths, tmp_path, device, expected):
    paths = dataclasses.replace(paths, cache=tmp_path / "cache" / "deeper")
    (tmp_path / "cache").mkdir()
    (tmp_path / "state").mkdir()
    devices = {tmp_path / "state": 1, tmp_path / "cache": device}
    monkeypatch.setattr(host, "_read_device", devices.__getitem__)
    free = {tmp_path / "state": 60.0, tmp_path / "cache": 4.0}
    monkeypatch.setattr(host, "_measure_free_gib", free.__getitem__)
    found = host.inspect(paths)
    assert (found.free_disk_gib, found.free_cache_gib) == (60.0, expected)


ROUTES = """\
default via 192.0.2.1 dev eth0
10.0.0.0/8 via 192.0.2.9 dev eth0
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1
blackhole 10.244.3.0/24
10.98.0.7 dev vpn0 scope link
"""


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.244.0.0/16", ["10.0.0.0/8 via 192.0.2.9 dev eth0", "blackhole 10.244.3.0/24"]),
        ("10.98.0.0/24", ["10.0.0.0/8 via 192.0.2.9 dev eth0", "10.98.0.7 dev vpn0 scope link"]),
        ("192.168.0.0/16", []),
    ],
)
def test_overlapping_routes_are_found(network, expected):
    assert host.find_overlapping(ROUTES, IPv4Network(network)) == expected


def test_another_kubernetes_on_the_machine_is_refused_with_a_remedy():
    with pytest.raises(DevError, match="another Kubernetes") as caught:
        host.require_free([], ":KUBE-SERVICES - [0:0]", "")
    assert "CLUSTER=existing" in str(caught.value)
