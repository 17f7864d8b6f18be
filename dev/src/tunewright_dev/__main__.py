"""The command line: `python -m tunewright_dev <command>`, as the Makefile calls it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from tunewright_dev import chart, console
from tunewright_dev.errors import DevError
from tunewright_dev.local import host
from tunewright_dev.target import SHOW_CLUSTER, find_target

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def up() -> None:
    """Build what is missing and start the local cluster; with CLUSTER=existing, prepare the cluster of the context."""
    target = find_target()
    console.say(target.title)
    with console.step("the cluster", SHOW_CLUSTER):
        target.up()
    console.say(f"The cluster is ready. To use it:\n  {target.format_environment()}")


@app.command()
def down() -> None:
    """Stop the local cluster and all of its processes."""
    console.say(find_target().down())


@app.command()
def status() -> None:
    """Show the components and their logs; exit with 1 if one is not running."""
    found = find_target().read_status()
    console.say(found.text)
    if not found.is_whole:
        raise typer.Exit(1)


@app.command(name="images")
def build_images() -> None:
    """Build and push the images that changed, and write build/images.json."""
    target = find_target()
    target.ensure_images()
    console.say(f"All images are in the registry; their names are in {target.paths.build / 'images.json'}")


@app.command()
def install() -> None:
    """Install or upgrade the chart on the cluster, and upload the demo's models."""
    target = find_target()
    chart.install(target.paths, target.connect(), target.ensure_helm())
    console.say(f"Tunewright is installed in namespace {chart.NAMESPACE}.")


@app.command()
def demo(
    cpu_percent: Annotated[
        int,
        typer.Option(min=10, max=100, help="Percentage of the nodes' CPU for servers and trainers."),
    ] = 100,
) -> None:
    """Run the demo: train, evaluate, canary, promote, roll back."""
    # Imported here, because it imports more than all other commands together.
    from tunewright_dev.demo import command  # noqa: PLC0415

    command.run(find_target(), cpu_percent)


@app.command()
def scene() -> None:
    """Create what the tutorial starts with: the teams' namespaces, a client's key and the example's data."""
    from tunewright_dev.demo import client_key, setting  # noqa: PLC0415 - as above

    target = find_target()
    kubectl = target.connect()
    setting.prepare_tenants(kubectl)
    with target.open_store(kubectl) as store:
        for line in setting.upload_datasets(target.paths, store):
            console.say(line)
    teams, secret = f"{setting.SERVING} and {setting.SUPPORT}", client_key.SECRET
    console.say(
        f"The namespaces {teams} exist, each with its storage Secret; the Secret {secret} has the client's key."
    )


def main() -> int:
    """Run a command; print an expected failure as a message, without a traceback."""
    # In a root shell from `su`, PATH lacks the folders of iptables and ip.
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{host.SYSTEM_PATH}"
    try:
        app()
    except DevError as error:
        console.warn(f"error: {error}")
        explain_deaths(str(error))
        return 1
    return 0


def explain_deaths(message: str) -> None:
    """Name the parts of the cluster that died, the cause of most failures, unless `message` already did."""
    with suppress(DevError):
        deaths = find_target().explain_deaths()
        if deaths and deaths not in message:
            console.warn(deaths)


if __name__ == "__main__":
    sys.exit(main())
