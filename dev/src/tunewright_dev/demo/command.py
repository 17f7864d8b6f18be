"""`make demo`: set up the cluster, run the story, print the results."""

from __future__ import annotations

import signal
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewright_dev import console, files
from tunewright_dev.demo import setting, setup, story
from tunewright_dev.demo.output import telling, view
from tunewright_dev.demo.output.summary import Summary, find_violations
from tunewright_dev.errors import DevError
from tunewright_dev.target import Target


def run(target: Target, cpu_percent: int) -> None:
    """Run the demo and write its figures to build/demo/summary.json. ``cpu_percent``: see `story.Story`.

    Raises:
        DevError: something failed, or the figures are not as required.
    """
    # Exit in order, so that no kubectl outlives this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console.say("Setting up: cluster, images, chart")
    kubectl, cold_seconds = setup.set_up(target)
    environment = target.format_environment()
    console.say(f"To watch from another terminal:\n  {environment}")
    figures = target.paths.build / "demo" / "summary.json"
    # If this run fails, no figures of an earlier run must be left.
    figures.unlink(missing_ok=True)
    shown = view.open_view()
    played = story.Story(target, kubectl, shown, cpu_percent)
    try:
        summary = played.play(cold_seconds)
    finally:
        shown.end()
    files.write(figures, summary.to_json())
    print_results(summary)
    console.say(f"\nAll figures: {figures}")
    violations = find_violations(summary)
    if violations:
        lines = [*violations, *played.problems]
        raise DevError("\n".join(["The results of the demo are not as required:", *(f"  - {line}" for line in lines)]))
    console.say("\nThe cluster keeps running. Three things to try:")
    for title, commands in telling.suggest(environment, setting.SERVING, setting.SERVER, played.earlier):
        console.say(f"\n{title}")
        for command in commands.splitlines():
            console.say(f"  {command}")
    console.say("\n`make down` removes everything.")


def print_results(summary: Summary) -> None:
    """Print the table of results."""
    table = Table(title="Results", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in telling.tabulate(summary):
        table.add_row(Text(name), Text(value))
    Console().print(table)
