"""Which interfaces belong to the cluster; `down` deletes them."""

from __future__ import annotations

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.local import network

ADDRESSES = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
9: veth1a2b    inet 10.244.0.1/32 scope global veth1a2b\\       valid_lft forever preferred_lft forever
"""


class Kernel:
    """The links of a machine, as `ip` lists and deletes them; those in `busy` cannot be deleted."""

    def __init__(self) -> None:
        self.links = {"lo", "eth0", "veth1a2b", "tunewright0"}
        self.busy: set[str] = set()

    def capture(self, argv: list[str]) -> str:
        if argv == ["ip", "-4", "-o", "address"]:
            return ADDRESSES
        assert argv[:3] == ["ip", "link", "delete"]
        if argv[3] not in self.links or argv[3] in self.busy:
            raise DevError(f"{argv[3]} was not deleted")
        self.links.remove(argv[3])
        return ""


@pytest.fixture
def kernel(monkeypatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(network.commands, "capture", kernel.capture)
    monkeypatch.setattr(network, "_exists", lambda name: name in kernel.links)
    monkeypatch.setattr(network.firewall, "remove", lambda: None)
    return kernel


def test_the_links_of_pods_are_recognized_by_their_address():
    assert network.list_interfaces(ADDRESSES) == ["veth1a2b"]


def test_only_the_links_of_pods_and_the_nodes_interface_are_deleted(kernel, paths):
    network.remove(paths)
    assert kernel.links == {"lo", "eth0"}


def test_a_link_that_the_kernel_already_deleted_is_no_failure(kernel, paths):
    kernel.links.remove("veth1a2b")
    network.remove(paths)
    assert kernel.links == {"lo", "eth0"}


def test_a_link_that_cannot_be_deleted_is_reported(kernel, paths):
    kernel.busy.add("veth1a2b")
    with pytest.raises(DevError, match="veth1a2b"):
        network.remove(paths)
