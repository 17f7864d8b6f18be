"""`helm upgrade --reuse-values`, which uses the values and the defaults of the release and ignores a newer chart's.

Helm computes the values from the release, which a test without a cluster does not have. What it then renders is the new
chart with the old chart's values in the place of its own values.yaml, and this is rendered here.
"""

from __future__ import annotations

import copy
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.conftest import CHART, KUBE_VERSION, Body, Helm

BEFORE = Path(__file__).parent / "fixtures" / "tunewright-2f5b22b.tgz"
"""The chart of commit 2f5b22b, made by `helm package`: the last one before values could be absent."""
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
REGISTRY = ("--set", "images.registry=registry.example.com/tunewright")


def render(helm: Helm, chart: Path, *options: str) -> dict[tuple[str, str], Body]:
    """Return the objects of a chart by kind and name."""
    where = ("-n", "tunewright-system", "--kube-version", KUBE_VERSION)
    done = helm("template", "demo", str(chart), *where, *REGISTRY, *options)
    assert done.returncode == 0, done.stderr
    bodies = [body for body in yaml.safe_load_all(done.stdout) if body]
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def copy_chart(folder: Path, values: dict[str, Any]) -> Path:
    """Return a copy of the chart that has other defaults."""
    chart = folder / "tunewright"
    shutil.copytree(CHART, chart)
    (chart / "values.yaml").write_text(yaml.safe_dump(values))
    return chart


def list_paths(values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the paths of everything in values.yaml that an older chart may not have had."""
    sections = {name: section for name, section in values.items() if isinstance(section, dict)}
    images = {name: image for name, image in values["images"].items() if isinstance(image, dict)}
    return [
        *((name,) for name in values),
        *((section, name) for section, inner in sections.items() for name in inner),
        *(("images", image, name) for image, inner in images.items() for name in inner),
    ]


def without(values: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    kept = copy.deepcopy(values)
    parent = kept
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return kept


def test_reused_values_of_the_release_before_render_as_values_given_to_this_chart(helm: Helm, tmp_path: Path) -> None:
    with tarfile.open(BEFORE) as archive:
        file = archive.extractfile("tunewright/values.yaml")
        assert file is not None
        old = yaml.safe_load(file.read())
    given = tmp_path / "old-values.yaml"
    given.write_text(yaml.safe_dump(old))
    reused = render(helm, copy_chart(tmp_path, old))
    assert reused == render(helm, CHART, "-f", str(given))
    assert reused.keys() >= render(helm, BEFORE).keys()


@pytest.mark.parametrize("path", list_paths(VALUES), ids=".".join)
def test_a_value_that_the_older_chart_did_not_have_has_its_default(
    helm: Helm, tmp_path: Path, path: tuple[str, ...]
) -> None:
    assert render(helm, copy_chart(tmp_path, without(VALUES, path))) == render(helm, CHART)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("crds.enabled=false", "CustomResourceDefinition"), ("uninstall.releaseFinalizers=false", "Job")],
)
def test_a_value_that_is_false_is_not_absent(helm: Helm, value: str, kind: str) -> None:
    assert kind in {key[0] for key in render(helm, CHART)}
    assert kind not in {key[0] for key in render(helm, CHART, "--set", value)}


def test_a_default_that_a_user_removed_stays_removed(helm: Helm) -> None:
    bodies = render(helm, CHART, "--set", "operator.resources.limits=null")
    (container,) = bodies["Deployment", "tunewright-operator"]["spec"]["template"]["spec"]["containers"]
    requests = VALUES["operator"]["resources"]["requests"]
    assert container["resources"] == {"requests": {**requests, "ephemeral-storage": "128Mi"}}


def test_every_template_that_reads_values_completes_them_first() -> None:
    paths = [path for path in (CHART / "templates").rglob("*") if path.is_file() and path.suffix != ".tpl"]
    readers = [path for path in paths if ".Values" in path.read_text() or "include" in path.read_text()]
    assert len(readers) > len(list((CHART / "templates" / "crds").iterdir()))
    for path in readers:
        assert path.read_text().startswith('{{- include "tunewright.completeValues" . '), path.name
