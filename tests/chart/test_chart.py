"""What the chart renders, from its values."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.conftest import CHART, KUBE_VERSION, ROOT, Body, Helm, Render
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.manifests.resources import DefaultResources
from tunewright_operator.runtime.leader_thread import STALL_LIMIT_SECONDS
from tunewright_operator.settings import Settings, WorkerCounts


def pick(bodies: list[Body], kind: str, name: str | None = None) -> Body:
    (body,) = (b for b in bodies if b["kind"] == kind and name in (None, b["metadata"]["name"]))
    return body


def pod_specs(bodies: list[Body]) -> dict[str, Any]:
    return {
        f"{b['kind']}/{b['metadata']['name']}": b["spec"]["template"]["spec"]
        for b in bodies
        if b["kind"] in ("Deployment", "Job")
    }


def crds_of(bodies: list[Body]) -> dict[str, Body]:
    return {body["metadata"]["name"]: body for body in bodies if body["kind"] == "CustomResourceDefinition"}


def test_lint_finds_nothing(helm: Helm) -> None:
    done = helm("lint", str(CHART), "--strict", "--kube-version", KUBE_VERSION, "--set", "images.registry=r/x")
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def test_generated_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "charts" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_crds_are_those_of_the_source(render: Render) -> None:
    source = {
        body["metadata"]["name"]: body
        for path in (ROOT / "crds").glob("*.yaml")
        for body in [yaml.safe_load(path.read_text())]
    }
    assert len(source) == 5
    assert crds_of(render("crds.keep=false")) == source


def test_crds_are_kept_by_default(render: Render) -> None:
    for body in crds_of(render()).values():
        assert body["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_crds_can_be_left_to_a_cluster_admin(render: Render) -> None:
    assert crds_of(render("crds.enabled=false")) == {}


def test_registry_is_required(helm: Helm) -> None:
    done = helm("template", "demo", str(CHART), "--kube-version", KUBE_VERSION)
    assert "images.registry is required" in done.stderr


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("imags.registry=x", "additional properties 'imags' not allowed"),
        ("operator.replica=2", "additional properties 'replica' not allowed"),
        ("images.pullPolicy=Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("images.server.digest=abc", "does not match pattern"),
        ("operator.replicas=many", "got string, want integer"),
        ("crds.keep=perhaps", "got string, want boolean"),
        ("allowedScheduling.nodeLabels[0]=a*b", "does not match pattern"),
        ("allowedScheduling.tolerations[0]=a", "additional properties 'tolerations' not allowed"),
        ("defaultResources.job.limits.memory=much", "does not match pattern"),
        ("defaultResources.prepare.limits.memory=1Gi", "additional properties 'prepare' not allowed"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, value: str, message: str) -> None:
    done = helm(
        "template", "demo", str(CHART), "--kube-version", KUBE_VERSION, "--set", "images.registry=r/x", "--set", value
    )
    assert done.returncode != 0
    assert message in done.stderr


def test_every_pod_is_restricted(render: Render) -> None:
    specs = pod_specs(render())
    assert specs.keys() == {"Deployment/tunewright-operator", "Job/tunewright-release-finalizers"}
    for name, spec in specs.items():
        pod, (container,) = spec["securityContext"], spec["containers"]
        assert (pod["runAsNonRoot"], pod["runAsUser"], pod["seccompProfile"]) == (
            True,
            65532,
            {"type": "RuntimeDefault"},
        ), name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert all("emptyDir" in volume for volume in spec["volumes"]), name


def test_no_pod_of_the_chart_uses_the_metadata_service(render: Render) -> None:
    for name, spec in pod_specs(render()).items():
        for container in spec["containers"]:
            assert {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"} in container["env"], name


def test_images_come_from_the_registry_by_tag_or_digest(render: Render) -> None:
    digest = "sha256:" + "a" * 64
    bodies = render("images.operator.tag=abc", f"images.server.digest={digest}", "images.pullPolicy=Always")
    (container,) = pick(bodies, "Deployment")["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert (
        container["image"] == environment["TUNEWRIGHT_OPERATOR_IMAGE"] == "registry.example.com/tunewright/operator:abc"
    )
    assert environment["TUNEWRIGHT_TRAINER_IMAGE"] == "registry.example.com/tunewright/trainer:0.1.0"
    assert environment["TUNEWRIGHT_SERVER_IMAGE"] == f"registry.example.com/tunewright/server@{digest}"
    assert environment["TUNEWRIGHT_IMAGE_PULL_POLICY"] == container["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ((), (8, 8, 8, 2)),
        (("operator.workers.fineTuneJob=16", "operator.workers.baseModel=null"), (16, 8, 8, 2)),
    ],
)
def test_the_operator_reads_the_workers_of_each_kind(
    render: Render, values: tuple[str, ...], counts: tuple[int, ...]
) -> None:
    (container,) = pick(render(*values), "Deployment")["spec"]["template"]["spec"]["containers"]
    (setting,) = [item["value"] for item in container["env"] if item["name"] == "TUNEWRIGHT_WORKERS"]
    workers = WorkerCounts.model_validate_json(setting)
    assert (workers.fine_tune_job, workers.adapter_deployment, workers.model_server, workers.base_model) == counts


def test_large_numbers_of_a_values_file_are_whole_numbers(helm: Helm, tmp_path: Path) -> None:
    """Helm reads them as floats and would write 1e+06, with which the operator does not start."""
    path, limits = tmp_path / "values.yaml", {"requestsPerSecond": 1_000_000, "burst": 2_000_000}
    values = {"images": {"registry": "r/x"}, "operator": {"apiRateLimit": limits}}
    path.write_text(yaml.safe_dump({**values, "jobs": {"keepFinishedSeconds": 2_000_000}}))
    done = helm("template", "demo", str(CHART), "--kube-version", KUBE_VERSION, "-f", str(path))
    specs = pod_specs([body for body in yaml.safe_load_all(done.stdout) if body])
    environment = {
        item["name"]: item.get("value") for item in specs["Deployment/tunewright-operator"]["containers"][0]["env"]
    }
    assert environment["TUNEWRIGHT_API_REQUESTS_PER_SECOND"] == "1000000"
    assert environment["TUNEWRIGHT_API_BURST"] == environment["TUNEWRIGHT_KEEP_FINISHED_JOBS_SECONDS"] == "2000000"


def test_probes_use_the_port_that_the_operator_serves(render: Render) -> None:
    (container,) = pick(render(), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_an_operator_with_a_stalled_main_loop_ends_before_the_kubelet_restarts_it(render: Render) -> None:
    (container,) = pick(render(), "Deployment")["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]
    # The first failure can come at the start of the stall.
    assert (probe["failureThreshold"] - 1) * probe["periodSeconds"] + probe["timeoutSeconds"] > STALL_LIMIT_SECONDS


def test_one_replica_needs_neither_a_budget_nor_a_spread(render: Render) -> None:
    bodies = render()
    assert not [body for body in bodies if body["kind"] == "PodDisruptionBudget"]
    assert "topologySpreadConstraints" not in pick(bodies, "Deployment")["spec"]["template"]["spec"]


def test_a_drain_evicts_one_of_several_replicas_at_a_time(render: Render) -> None:
    bodies = render("operator.replicas=2")
    deployment, budget = pick(bodies, "Deployment"), pick(bodies, "PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


@pytest.mark.parametrize(("spread", "mode"), [("Preferred", "ScheduleAnyway"), ("Required", "DoNotSchedule")])
def test_several_replicas_are_spread_over_the_nodes(render: Render, spread: str, mode: str) -> None:
    spec = pick(render("operator.replicas=2", f"operator.spread={spread}"), "Deployment")["spec"]
    (constraint,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert (constraint["topologyKey"], constraint["maxSkew"]) == ("kubernetes.io/hostname", 1)
    assert constraint["whenUnsatisfiable"] == mode
    assert constraint["labelSelector"] == spec["selector"]
    assert constraint["matchLabelKeys"] == ["pod-template-hash"], "otherwise an upgrade needs a third node"


def test_the_spread_can_be_left_to_the_users_affinity(render: Render) -> None:
    values = ("operator.replicas=2", "operator.spread=None", "operator.affinity.podAntiAffinity.x=y")
    spec = pick(render(*values), "Deployment")["spec"]["template"]["spec"]
    assert "topologySpreadConstraints" not in spec
    assert spec["affinity"] == {"podAntiAffinity": {"x": "y"}}


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_upgrade_ends_a_replica_only_when_a_new_one_is_ready(render: Render, replicas: int) -> None:
    strategy = pick(render(f"operator.replicas={replicas}"), "Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_pod_values_reach_the_pod(render: Render) -> None:
    values = [
        "operator.podLabels.team=ml",
        "operator.podAnnotations.a=b",
        "operator.nodeSelector.pool=system",
        "operator.extraEnv[0].name=X",
    ]
    template = pick(
        render(*values, "operator.priorityClassName=high", "images.pullSecrets[0].name=pull"), "Deployment"
    )["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "ml"
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert template["spec"]["nodeSelector"] == {"pool": "system"}
    assert template["spec"]["priorityClassName"] == "high"
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    environment = template["spec"]["containers"][0]["env"]
    assert {"name": "X"} in environment
    assert {"name": "TUNEWRIGHT_IMAGE_PULL_SECRETS", "value": "pull"} in environment


def read_settings(monkeypatch: pytest.MonkeyPatch, bodies: list[Body]) -> Settings:
    """Return the settings that the operator reads from the environment of its pod."""
    (container,) = pick(bodies, "Deployment")["spec"]["template"]["spec"]["containers"]
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item.get("value", "x"))
    return Settings()


def test_the_operators_own_defaults_are_the_charts(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(monkeypatch, render())
    assert settings.default_resources == DefaultResources()
    assert settings.allowed_scheduling == AllowedScheduling()


def test_the_platform_team_decides_about_resources_and_scheduling(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = ("defaultResources.train.limits.memory=64Gi", "defaultResources.train.limits.ephemeral-storage=null")
    settings = read_settings(monkeypatch, render(*values, "allowedScheduling.priorityClasses[0]=batch"))
    assert settings.default_resources.train.limits == {"memory": "64Gi"}
    assert settings.default_resources.server == DefaultResources().server
    assert settings.allowed_scheduling == AllowedScheduling(priority_classes=("batch",))


def test_every_container_of_the_chart_has_requests_and_limits(render: Render) -> None:
    for name, spec in pod_specs(render()).items():
        for container in spec["containers"]:
            assert container["resources"]["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}, name
            assert container["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}, name


def test_selector_matches_only_the_operator(render: Render) -> None:
    bodies = render()
    deployment, job = pick(bodies, "Deployment"), pick(bodies, "Job")
    selector = deployment["spec"]["selector"]["matchLabels"].items()
    assert selector <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= job["spec"]["template"]["metadata"]["labels"].items()


def test_operator_roles_are_the_listed_rules(render: Render) -> None:
    bodies = render()
    assert pick(bodies, "ClusterRole", "tunewright-operator")["rules"] == list_rules("cluster", "tenants")
    assert pick(bodies, "Role")["rules"] == list_rules("namespace")


def list_rules(*parts: str) -> list[Body]:
    listed = yaml.safe_load((CHART / "files" / "operator-rules.yaml").read_text())
    return [{key: rule[key] for key in ("apiGroups", "resources", "verbs")} for part in parts for rule in listed[part]]


def test_a_namespaced_install_has_rights_only_in_its_namespaces(
    render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = ("support", "tunewright-system", "serving", "support")
    bodies = render(*(f"rbac.namespaces[{number}]={name}" for number, name in enumerate(listed)))
    cluster = pick(bodies, "ClusterRole", "tunewright-operator")["rules"]
    assert cluster == list_rules("cluster")
    assert {name for rule in cluster for name in rule["resources"]} == {
        "basemodels",
        "basemodels/status",
        "customresourcedefinitions",
        "namespaces",
    }
    roles = {body["metadata"]["namespace"]: body["rules"] for body in bodies if body["kind"] == "Role"}
    assert roles == {
        "tunewright-system": list_rules("namespace", "tenants"),
        "support": list_rules("tenants"),
        "serving": list_rules("tenants"),
    }
    bindings = {body["metadata"]["namespace"]: body for body in bodies if body["kind"] == "RoleBinding"}
    assert bindings.keys() == roles.keys()
    for binding in bindings.values():
        (subject,) = binding["subjects"]
        assert (subject["namespace"], binding["roleRef"]["kind"]) == ("tunewright-system", "Role")
    assert {*read_settings(monkeypatch, bodies).namespaces} == {*listed}


def test_no_role_has_a_wildcard(render: Render) -> None:
    roles = [body for body in render() if body["kind"] in ("Role", "ClusterRole")]
    assert len(roles) == 6
    assert "*" not in json.dumps([role["rules"] for role in roles])


def test_roles_for_users_can_be_left_out(render: Render) -> None:
    names = {
        b["metadata"]["name"]
        for b in render("rbac.aggregateToUserRoles=false", "rbac.everyoneReadsBaseModels=false")
        if "Role" in b["kind"]
    }
    assert names == {"tunewright-operator", "tunewright-catalogue-admin", "tunewright-catalogue-view"}


def test_uninstall_releases_finalizers_first(render: Render) -> None:
    job = pick(render(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == [
        "python",
        "-m",
        "tunewright_operator",
        "release-finalizers",
    ]
    assert job["spec"]["activeDeadlineSeconds"] <= 300, "helm waits 5 minutes"
    assert not [body for body in render("uninstall.releaseFinalizers=false") if body["kind"] == "Job"]


def test_network_policy_admits_metrics_readers_only(render: Render) -> None:
    assert not [body for body in render() if body["kind"] == "NetworkPolicy"]
    closed = pick(render("networkPolicy.enabled=true"), "NetworkPolicy")
    assert (closed["spec"]["policyTypes"], closed["spec"]["ingress"]) == (["Ingress"], [])
    peer = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring"
    opened = pick(render("networkPolicy.enabled=true", peer), "NetworkPolicy")
    assert opened["spec"]["ingress"] == [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "ports": [{"port": 8080, "protocol": "TCP"}],
        }
    ]


@pytest.mark.parametrize(
    ("keep", "words"), [("true", "helm uninstall keeps"), ("false", "helm uninstall deletes every custom resource")]
)
def test_notes_list_the_next_steps(helm: Helm, tmp_path: Path, keep: str, words: str) -> None:
    """helm shows notes only when it installs, so a copy of the chart renders them as an object."""
    chart = tmp_path / "tunewright"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "_notes.tpl").write_text('{{ define "notes" }}' + notes + "{{ end }}")
    (chart / "templates" / "notes.yaml").write_text('{kind: Notes, notes: {{ include "notes" . | quote }} }')
    sets = ["--set", "images.registry=r/x", "--set", f"crds.keep={keep}", "--show-only", "templates/notes.yaml"]
    done = helm("template", "demo", str(chart), "-n", "tunewright-system", "--kube-version", KUBE_VERSION, *sets)
    assert done.returncode == 0, done.stderr
    text = yaml.safe_load(done.stdout)["notes"]
    assert "kubectl -n tunewright-system rollout status deployment/tunewright-operator" in text
    assert words in text
