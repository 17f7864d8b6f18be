"""Measure the operator at scale: CPU, memory, API calls and waiting times, with a Go operator beside it.

    python bench/reconcile_scale.py [--jobs 10000] [--deployments 1000] [--servers 100] [--peer ray-operator]

It starts etcd, an API server, the controllers of Jobs and Deployments, and the operator of a clone on free ports of the
loopback address, in a temporary folder. A process simulates the kubelet, the server pods and the trainers. Everything
is removed at the end, also after Ctrl-C; a local cluster on the same machine is not touched.

In a first part, our operator and KubeRay's take turns to give new resources their first child, in an otherwise empty
world. In the second part, the world is filled, and our operator is started again. On a shared machine, the CPU figures
are more reliable than those of time. With 10,000 jobs it takes more than an hour on two cores; `--help` lists the
options for smaller runs.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from scale_bench.api import Body
from scale_bench.options import Options, read_options
from scale_bench.report import format_summary
from scale_bench.run import run
from tunewright_dev import console
from tunewright_dev.errors import DevError


async def run_until_stopped(options: Options) -> Body:
    """Run the benchmark; SIGTERM ends it as Ctrl-C does, with everything removed."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(options)


def main() -> int:
    """Run the benchmark, write its report and print the summary; return the exit code."""
    options = read_options()
    try:
        report = asyncio.run(run_until_stopped(options))
    except DevError as error:
        console.warn(f"error: {error}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.warn("stopped; everything is removed")
        return 130
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(report, indent=2) + "\n")
    console.say(f"{format_summary(report)}\nThe whole report is in {options.report}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
