"""The command line."""

from __future__ import annotations

from tunewright_dev import __main__ as command_line
from tunewright_dev import target


def test_a_failure_names_components_that_died_once(monkeypatch, capsys, paths):
    monkeypatch.setattr(command_line, "find_target", lambda: target.LocalTarget(paths))
    monkeypatch.setattr(target.local_cluster, "read_deaths", lambda _: "etcd died")
    command_line.explain_deaths("the store did not answer")
    command_line.explain_deaths("etcd died")
    assert capsys.readouterr().err == "etcd died\n"
