"""Show the running demo: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tunewright_dev.demo.observed.world import World
from tunewright_dev.demo.output import telling

QUIET_SECONDS = 20.0
"""The longest time between two lines in a pipe."""
_COLOURS = ("green", "yellow", "cyan")


class View(Protocol):
    """The output of the story; no method waits."""

    def begin(self, title: str, commands: Sequence[str], job: str | None = None) -> None:
        """Begin a step; ``commands`` let users do or see the same. ``job`` is the step's FineTuneJob."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def show(self, world: World, awaited: str) -> None:
        """Show the current state and what the story waits for; called about every second."""

    def end(self) -> None:
        """Restore the screen; the view cannot be used after that."""


class PlainView:
    """Lines: one for each important change, and one if nothing changed for some time."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._job: str | None = None
        self._last_key = ""
        self._last_time = 0.0

    def begin(self, title: str, commands: Sequence[str], job: str | None = None) -> None:
        """See `View`."""
        self._job = job
        self._print(f"\n== {title}")
        for command in commands:
            self._print(f"   $ {command}")

    def say(self, text: str) -> None:
        """See `View`."""
        self._print(f"   {self._elapsed()} {text}")

    def show(self, world: World, awaited: str) -> None:
        """See `View`."""
        line = telling.tell_state(world, self._job, awaited)
        key = telling.tell_change(world, self._job)
        now = time.monotonic()
        if key != self._last_key or now - self._last_time >= QUIET_SECONDS:
            self._last_key = key
            self._print(f"   {self._elapsed()} {line}")

    def end(self) -> None:
        """See `View`."""

    def _elapsed(self) -> str:
        return f"[{telling.tell_elapsed(time.monotonic() - self._started)}]"

    def _print(self, text: str) -> None:
        self._last_time = time.monotonic()
        print(text, flush=True)


class LiveView:
    """A panel at the bottom that is redrawn, below the lines that stay."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._title = ""
        self._commands: Sequence[str] = ()
        self._job: str | None = None
        self._live = Live(console=console, refresh_per_second=2, transient=True)
        self._live.start()

    def begin(self, title: str, commands: Sequence[str], job: str | None = None) -> None:
        """See `View`."""
        self._title, self._commands, self._job = title, commands, job
        self._live.console.print(Text(f"\n{title}", style="bold"))
        for command in commands:
            self._live.console.print(Text(f"  $ {command}", style="dim"))

    def say(self, text: str) -> None:
        """See `View`."""
        self._live.console.print(Text(f"  {text}"))

    def show(self, world: World, awaited: str) -> None:
        """See `View`."""
        self._live.update(self.draw(world, awaited))

    def end(self) -> None:
        """See `View`."""
        self._live.stop()

    def draw(self, world: World, awaited: str) -> Panel:
        """Return the panel."""
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="bold", no_wrap=True)
        rows.add_column(overflow="ellipsis", no_wrap=True)
        rows.add_row("waiting for", Text(awaited))
        # Text, not str: messages may contain brackets, which rich would interpret as markup.
        rows.add_row("servers", Text(telling.tell_server(world.server)))
        if self._job:
            job = world.jobs.get(self._job)
            rows.add_row("job", Text(telling.tell_job(job)))
            progress = (job or {}).get("status", {}).get("progress", {})
            if progress.get("totalSteps"):
                rows.add_row("", ProgressBar(total=progress["totalSteps"], completed=progress.get("step", 0), width=50))
        if world.deployment:
            rows.add_row("rollout", Text(telling.tell_rollout(world.deployment)))
            evidence = telling.tell_evaluation(world) or telling.tell_evidence(world.deployment)
            if evidence:
                rows.add_row("evidence", Text(evidence))
        shares = world.ledger.shares(world.alias)
        if shares:
            rows.add_row("clients get", draw_shares(shares))
        if world.tally.total:
            bad = world.tally.failed or world.tally.wrong
            rows.add_row("answers", Text(telling.tell_answers(world.tally), style="red" if bad else "green"))
        for answer in world.latest:
            rows.add_row("", Text(telling.tell_answer(answer), style="dim"))
        elapsed = telling.tell_elapsed(time.monotonic() - self._started)
        return Panel(Group(rows), title=self._title, subtitle=elapsed, title_align="left", subtitle_align="right")


def draw_shares(shares: Mapping[str, int]) -> Text:
    """Return a bar that shows the share of each revision."""
    text = Text()
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    for (_, weight), colour in zip(ordered, _COLOURS, strict=False):
        text.append("█" * round(weight * 0.4), style=colour)
    text.append(f"  {telling.tell_shares(dict(ordered))}")
    return text


def open_view() -> View:
    """Return the view for the kind of standard output."""
    return LiveView(Console()) if sys.stdout.isatty() else PlainView()
