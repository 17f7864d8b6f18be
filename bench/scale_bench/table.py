"""The main figures of several reports as a table in Markdown, for `docs/how-to/sizing.md`.

The reports are the files of `bench/recorded`, in the order of their names. A report of a time before this benchmark has
the figures that were measured then; they may be texts, such as a range.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from scale_bench.api import Body

RECORDED = Path(__file__).resolve().parents[1] / "recorded"
ROWS = {
    "`jobs`": "jobs",
    "of them training": "training",
    "`deployments`": "deployments",
    "of them rolling out": "rollouts",
    "`servers`": "servers",
    "pods of each": "podsPerServer",
    "`steadyCores`": "steadyCores",
    "`steadyMiB`": "steadyMiB",
    "`cpuMillisecondsPerJob`": "cpuMillisecondsPerJob",
    "`resourcesPerSecond.tunewright`": "resourcesPerSecond.tunewright",
    "`resourcesPerSecond.peer`": "resourcesPerSecond.peer",
    "`peerRatio`": "peerRatio",
    "`canaryP99Seconds`": "canaryP99Seconds",
    "`worstLeaseMarginSeconds`": "worstLeaseMarginSeconds",
    "`repairs`": "repairs",
}
"""The field of a report by the title of its row; a dot leads into an object."""
NOT_MEASURED = "–"


def read_reports(folder: Path = RECORDED) -> list[Body]:
    """Return the reports of a folder in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def format_table(reports: Sequence[Body]) -> str:
    """Return a table with a column for each report, which its commit names, and a row for each figure."""
    rows = [
        ["", *(f"commit {report['commit'][:7]}" for report in reports)],
        ["---", *("---" for _ in reports)],
        *([title, *(_find(report, field) for report in reports)] for title, field in ROWS.items()),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _find(report: Body, field: str) -> str:
    value: object = report
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return NOT_MEASURED if value is None else f"{value:,}" if isinstance(value, int) else str(value)
