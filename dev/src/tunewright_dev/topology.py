"""The names and addresses of the local cluster.

All addresses are on this machine: the node's address is on an interface without ports, the ranges of pods and Services
are routed to it, and the rest is on loopback.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

NODE_NAME = "tunewright"
NODE_ADDRESS = IPv4Address("10.98.0.1")
NODE_INTERFACE = "tunewright0"
POD_RANGE = IPv4Network("10.244.0.0/16")
NODE_POD_RANGE = IPv4Network("10.244.0.0/24")
SERVICE_RANGE = IPv4Network("10.96.0.0/16")
KUBERNETES_SERVICE = IPv4Address("10.96.0.1")
DNS_SERVICE = IPv4Address("10.96.0.10")
OBJECT_STORE_SERVICE = IPv4Address("10.96.0.33")
CLUSTER_DOMAIN = "cluster.local"

API_PORT = 6443
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
CONTROLLER_MANAGER_PORT = 10257
KUBELET_PORT = 10250
REGISTRY_PORT = 5000
OBJECT_STORE_PORT = 8333

API_URL = f"https://{NODE_ADDRESS}:{API_PORT}"
# The registry's name in the cluster; containerd maps it to the registry on loopback.
REGISTRY_NAME = f"registry.tunewright.local:{REGISTRY_PORT}"
REGISTRY_ADDRESS = f"127.0.0.1:{REGISTRY_PORT}"
REPOSITORY = "tunewright"
