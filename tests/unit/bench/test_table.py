"""The table of recorded reports."""

from __future__ import annotations

import json

import pytest

from scale_bench.table import RECORDED, ROWS, format_table, read_reports

EARLIER = {"commit": "a648bf7", "jobs": "100, all ended", "steadyCores": 0.16}
FULL = {
    "commit": "0123456789-dirty",
    "jobs": 10_000,
    "steadyCores": 0.25,
    "resourcesPerSecond": {"tunewright": 20.0, "peer": None},
    "repairs": 0,
}


@pytest.mark.parametrize(
    ("title", "cells"),
    [
        ("", "commit a648bf7 | commit 0123456"),
        ("`jobs`", "100, all ended | 10,000"),
        ("`steadyCores`", "0.16 | 0.25"),
        ("`resourcesPerSecond.tunewright`", "– | 20.0"),
        ("`resourcesPerSecond.peer`", "– | –"),
        ("`repairs`", "– | 0"),
    ],
)
def test_a_report_is_a_column_and_a_figure_a_row(title: str, cells: str):
    assert f"| {title} | {cells} |" in format_table([EARLIER, FULL]).splitlines()


def test_every_row_has_a_cell_for_each_report():
    lines = format_table([EARLIER, FULL]).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert {line.count("|") for line in lines} == {4}


def test_the_figures_that_targets_name_are_rows():
    named = {"steadyCores", "steadyMiB", "cpuMillisecondsPerJob", "resourcesPerSecond.tunewright", "peerRatio"}
    assert set(ROWS.values()) >= {*named, "canaryP99Seconds", "worstLeaseMarginSeconds", "repairs"}


def test_reports_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("2-b", "10-c", "1-a"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"commit": name}))
    assert [report["commit"] for report in read_reports(tmp_path)] == ["1-a", "10-c", "2-b"]


def test_every_recorded_report_has_a_commit_and_a_size():
    for report in read_reports(RECORDED):
        assert report.keys() >= {"commit", "jobs", "deployments", "servers", "podsPerServer"}
