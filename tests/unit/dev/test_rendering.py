from __future__ import annotations

import json
import ssl
import tomllib
from pathlib import Path

import pytest

from tunewright_dev import certificates, files, topology
from tunewright_dev.local import containerd, control_plane, coredns, mounts
from tunewright_dev.object_store import deployment as object_store
from tunewright_dev.paths import Paths


@pytest.fixture
def paths(tmp_path):
    return Paths(clone=tmp_path / "clone", cache=tmp_path / "cache", state=tmp_path / "state", run=tmp_path / "run")


def test_containerd_writes_only_in_our_folders(paths):
    config = tomllib.loads(containerd.build_config(paths, pause_image="registry.example/pause:1"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    runc = cri["containerd"]["runtimes"]["runc"]["options"]
    for path in (config["root"], config["state"], config["grpc"]["address"], runc["Root"], cri["cni"]["conf_dir"]):
        assert path.startswith((str(paths.state), str(paths.run)))
    assert cri["sandbox_image"] == "registry.example/pause:1"
    assert cri["restrict_oom_score_adj"] is True


def test_pods_are_not_masqueraded_since_none_leaves_the_machine(paths):
    network = json.loads(containerd.build_network(paths))
    assert network["plugins"][0]["type"] == "ptp"
    assert network["plugins"][0]["ipMasq"] is False


def test_the_registrys_name_leads_to_loopback():
    hosts = tomllib.loads(containerd.build_registry_hosts())
    assert hosts["server"] == "http://127.0.0.1:5000"
    assert list(hosts["host"]) == ["http://127.0.0.1:5000"]


def test_the_nodes_pods_lie_in_the_pod_range_and_no_ranges_overlap():
    assert topology.NODE_POD_RANGE.subnet_of(topology.POD_RANGE)
    assert not topology.POD_RANGE.overlaps(topology.SERVICE_RANGE)
    for address in (topology.DNS_SERVICE, topology.KUBERNETES_SERVICE, topology.OBJECT_STORE_SERVICE):
        assert address in topology.SERVICE_RANGE


def test_credentials_are_private_verify_and_stay(paths):
    first = control_plane.ensure_credentials(paths)
    stamps = {path: path.stat().st_mtime_ns for path in paths.pki.iterdir()}
    control_plane.ensure_credentials(paths)
    assert {path: path.stat().st_mtime_ns for path in paths.pki.iterdir()} == stamps
    assert {path.name for path in paths.pki.iterdir() if path.stat().st_mode & 0o077} == set()
    context = ssl.create_default_context(cafile=str(first.authority.certificate))
    context.load_cert_chain(first.admin.certificate, first.admin.key)


def test_a_kubeconfig_needs_no_other_file(paths):
    credentials = control_plane.ensure_credentials(paths)
    config = json.loads(credentials.kubeconfigs["admin"].read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://10.98.0.1:6443"
    assert str(paths.state) not in json.dumps(config)


def test_an_interrupted_certificate_is_made_anew(paths):
    authority = certificates.ensure_authority(paths.pki, "ca")
    authority.certificate.unlink()
    again = certificates.ensure_authority(paths.pki, "ca")
    ssl.create_default_context(cafile=str(again.certificate))


def test_writing_equal_content_touches_nothing(tmp_path):
    path = tmp_path / "deep" / "config.json"
    files.write(path, "a", mode=0o600)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    files.write(path, "a", mode=0o600)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    files.write(path, "b", mode=0o600)
    assert path.read_text() == "b"
    assert path.stat().st_mode & 0o777 == 0o600


def test_mounts_below_our_folders_are_found_the_latest_first_and_a_disk_that_is_such_a_folder_is_left_alone():
    table = r"""22 1 0:20 / / rw - ext4 /dev/vda rw
30 22 0:21 / /run/tunewright/netns/a rw - nsfs nsfs rw
31 22 0:22 / /var/lib/tunewright/with\040space rw - tmpfs tmpfs rw
32 22 0:23 / /run/tunewright-other rw - tmpfs tmpfs rw
33 22 8:16 / /var/lib/tunewright rw - ext4 /dev/vdb rw"""
    found = mounts.find_mounts(table, [Path("/run/tunewright"), Path("/var/lib/tunewright")])
    assert found == [Path("/var/lib/tunewright/with space"), Path("/run/tunewright/netns/a")]


def test_identities_may_do_what_their_duty_needs_and_no_more():
    accesses = {name: object_store.generate_access() for name in object_store.IDENTITIES}
    assert len({access.secret_key for access in accesses.values()}) == len(accesses)
    entries = json.loads(object_store.build_identities(accesses))["identities"]
    actions = {entry["name"]: entry["actions"] for entry in entries}
    assert actions["server"] == ["Read:tunewright", "List:tunewright"]
    assert actions["trafficlog"] == ["Write:tunewright-logs"]
    assert "Write:tunewright" in actions["trainer"]


@pytest.mark.parametrize(
    "deployment",
    [
        next(item for item in coredns.build_dns("image") if item["kind"] == "Deployment"),
        object_store.build_deployment("image", {"s3.json": "{}"}),
    ],
    ids=["dns", "object store"],
)
def test_our_own_pods_are_restricted(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False


def test_new_credentials_replace_the_stores_pod():
    def annotations(config):
        return object_store.build_deployment("image", config)["spec"]["template"]["metadata"]["annotations"]

    assert annotations({"s3.json": "1"}) == annotations({"s3.json": "1"})
    assert annotations({"s3.json": "1"}) != annotations({"s3.json": "2"})


def test_a_cluster_of_an_earlier_boot_is_not_ours_to_clean_up(paths):
    assert not paths.is_claimed()
    paths.claim()
    assert paths.is_claimed()
    claim = paths.run / "claim.json"
    claim.write_text(json.dumps({**json.loads(claim.read_text()), "boot": "another"}))
    assert not paths.is_claimed()
