"""The command line: `python -m tunewright_dev <command>`, as the Makefile calls it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import typer

from tunewright_dev import chart, console, target
from tunewright_dev.errors import DevError
from tunewright_dev.existing import cluster as existing_cluster
from tunewright_dev.local import cluster, host
from tunewright_dev.object_store import access as storage_access
from tunewright_dev.paths import find_paths

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def up() -> None:
    """Build what is missing and start the local cluster; with CLUSTER=existing, prepare the one of the current context."""
    paths = find_paths()
    console.say("Preparing the existing cluster" if paths.existing else "Starting the local cluster")
    with console.step("the cluster", target.SHOW_CLUSTER):
        target.up(paths)
    console.say(
        f"The cluster is ready. To use it:\n  export KUBECONFIG={paths.kubeconfig} PATH={paths.build / 'bin'}:$PATH"
    )


@app.command()
def down() -> None:
    """Stop the local cluster and leave nothing of it running."""
    paths = find_paths()
    if paths.existing:
        console.say(existing_cluster.explain_removal())
        return
    cluster.down(paths)
    console.say("The local cluster is gone.")


@app.command()
def status() -> None:
    """Show the components and their logs; exit with 1 when one is not running."""
    paths = find_paths()
    if paths.existing:
        console.say(target.connect(paths).run("get", "nodes,pods", "--all-namespaces"))
        return
    found = cluster.read_status(paths)
    for one in found:
        state = f"running, pid {one.pid}" if one.pid else "NOT RUNNING"
        console.say(f"{one.name:<24} {state:<20} {one.log}")
    if any(one.pid is None for one in found):
        raise typer.Exit(1)


@app.command(name="images")
def build_images() -> None:
    """Build and push the images that changed, and write build/images.json."""
    paths = find_paths()
    if not paths.existing:
        cluster.connect(paths)
    target.ensure_images(paths)
    console.say(f"All images are in the registry; their names are in {paths.build / 'images.json'}")


@app.command()
def install() -> None:
    """Install or upgrade the chart on the cluster, and upload the demo's models."""
    paths = find_paths()
    chart.install(paths, target.connect(paths), target.find_helm(paths))
    console.say(f"Tunewright is installed in namespace {chart.NAMESPACE}.")


@app.command()
def demo() -> None:
    """Play the whole story: train, evaluate, canary, promote, roll back."""
    # Imported here: it needs more than all other commands together.
    from tunewright_dev.demo import command  # noqa: PLC0415

    command.run(find_paths())


@app.command()
def scene() -> None:
    """Make what the tutorial begins with: the two teams' namespaces and the example's data in the bucket."""
    from tunewright_dev.demo import setting  # noqa: PLC0415 - as above

    paths = find_paths()
    kubectl = target.connect(paths)
    setting.prepare_tenants(kubectl)
    with storage_access.open_store(paths, kubectl) as store:
        for line in setting.upload_datasets(paths, store):
            console.say(line)
    console.say(f"Namespaces {setting.SERVING} and {setting.SUPPORT} are there, each with its storage Secret.")


def main() -> int:
    """Run a command; a foreseen failure is a message, not a traceback."""
    # A root shell got by `su` lacks the folders of iptables and ip.
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{host.SYSTEM_PATH}"
    try:
        app()
    except DevError as error:
        console.warn(f"error: {error}")
        explain_deaths(str(error))
        return 1
    return 0


def explain_deaths(told: str) -> None:
    """Name the components of the local cluster that died with their logs, unless `told` did: most failures come of that."""
    with suppress(DevError):
        paths = find_paths()
        deaths = "" if paths.existing else cluster.read_deaths(paths)
        if deaths and deaths not in told:
            console.warn(deaths)


if __name__ == "__main__":
    sys.exit(main())
