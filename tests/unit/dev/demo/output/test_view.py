"""The output of a running demo: lines on a pipe, a panel on a terminal."""

from __future__ import annotations

import io

from support.worlds.demo_objects import NEW, config_map, deployment, job
from tunewright_dev.demo.observed.feed import Event
from tunewright_dev.demo.observed.rollouts import read_time
from tunewright_dev.demo.observed.world import Source, World
from tunewright_dev.demo.output import view


def test_a_pipe_gets_a_line_for_each_change_and_not_for_each_poll(capsys):
    world, shown = World("support"), view.PlainView()
    shown.begin("A title", ["kubectl get x"], "j")
    world.jobs["j"] = job("Training", progress={"step": 1, "totalSteps": 40})
    shown.show(world, "something")
    world.jobs["j"] = job("Training", progress={"step": 2, "totalSteps": 40})
    shown.show(world, "something")
    world.jobs["j"] = job("Succeeded")
    shown.show(world, "something")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("] ")[-1].strip() for line in lines if line] == [
        "== A title",
        "$ kubectl get x",
        "Training, step 1 of 40",
        "Succeeded",
    ]


def test_a_pipe_is_never_silent_for_long(capsys, monkeypatch):
    world, shown, now = World("support"), view.PlainView(), [1000.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    shown.show(world, "something")
    now[0] += view.QUIET_SECONDS - 1
    shown.show(world, "something")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("waiting for something")
    now[0] += 1
    shown.show(world, "something")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_panel_shows_who_answers():
    from rich.console import Console

    world = World("support")
    at = read_time("2026-01-01T00:00:11Z")
    world.absorb(Event(Source.PLAN, at, config_map(1, {"support--aaa": 80, NEW: 20})))
    world.jobs["j"] = job("Training", progress={"step": 1, "totalSteps": 40})
    world.absorb(Event(Source.DEPLOYMENT, at, deployment({"revision": NEW, "step": 2, "reasons": ["no [/markup]"]})))
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown = view.LiveView(console)
    try:
        shown.begin("A title", ["kubectl get x"], "j")
        text = io.StringIO()
        Console(file=text, width=120).print(shown.draw(world, "something"))
    finally:
        shown.end()
    assert "support--aaa 80 % + support--bbb 20 %" in text.getvalue()
    assert "step 1 of 40" in text.getvalue()
    assert "no [/markup]" in text.getvalue()
