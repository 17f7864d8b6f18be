from __future__ import annotations

import json
import tomllib

from tunewright_dev.local import containerd


def test_containerd_writes_only_in_our_folders(paths):
    config = tomllib.loads(containerd.build_config(paths, pause_image="registry.example/pause:1"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    runc = cri["containerd"]["runtimes"]["runc"]["options"]
    for path in (config["root"], config["state"], config["grpc"]["address"], runc["Root"], cri["cni"]["conf_dir"]):
        assert path.startswith((str(paths.state), str(paths.run)))
    assert cri["sandbox_image"] == "registry.example/pause:1"
    assert cri["restrict_oom_score_adj"] is True


def test_traffic_of_pods_is_not_masqueraded(paths):
    network = json.loads(containerd.build_network(paths))
    assert network["plugins"][0]["type"] == "ptp"
    assert network["plugins"][0]["ipMasq"] is False


def test_the_registrys_name_resolves_to_loopback():
    hosts = tomllib.loads(containerd.build_registry_hosts())
    assert hosts["server"] == "http://127.0.0.1:5000"
    assert list(hosts["host"]) == ["http://127.0.0.1:5000"]
