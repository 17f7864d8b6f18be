"""``python -m tunewright_dev.mutants``: print how many mutants each module's tests kill.

It fails if no line of `SURVIVORS` explains a survivor.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tunewright_dev import console
from tunewright_dev.mutants import mutation, survivors
from tunewright_dev.mutants.mutation import Mutant
from tunewright_dev.mutants.trial import Ended, Trial, preload, run_trials
from tunewright_dev.paths import find_paths

OPERATOR = "operator/src/tunewright_operator"
DECISIONS = f"{OPERATOR}/domain"
SERVER = "server-image/src/tunewright_server"
TRAINER = "trainer-image/src/tunewright_trainer"
ROLLOUT = "tests/unit/operator/domain/rollout"
TESTS = {
    f"{DECISIONS}/rollout/decision.py": (ROLLOUT,),
    f"{DECISIONS}/rollout/steps.py": (ROLLOUT,),
    f"{DECISIONS}/rollout/acceptance.py": (f"{ROLLOUT}/test_decision.py", f"{ROLLOUT}/test_paused.py"),
    f"{DECISIONS}/rollout/evaluation/step.py": (f"{ROLLOUT}/test_decision.py", f"{ROLLOUT}/test_paused.py"),
    f"{DECISIONS}/rollout/evaluation/progress.py": (f"{ROLLOUT}/evaluation/test_progress.py",),
    f"{DECISIONS}/rollout/evaluation/stored_answers.py": (f"{ROLLOUT}/evaluation/test_stored_answers.py",),
    f"{DECISIONS}/rollout/live_window.py": (
        f"{ROLLOUT}/test_decision.py",
        f"{ROLLOUT}/test_live_window.py",
        f"{ROLLOUT}/test_weight.py",
    ),
    f"{DECISIONS}/rollout/jobs.py": (f"{ROLLOUT}/test_jobs.py",),
    f"{DECISIONS}/rollout/position.py": (f"{ROLLOUT}/test_position.py",),
    f"{DECISIONS}/rollout/verbs.py": (f"{ROLLOUT}/test_decision.py", f"{ROLLOUT}/test_requests.py"),
    f"{DECISIONS}/rollout/weight.py": (f"{ROLLOUT}/test_weight.py",),
    f"{DECISIONS}/serving/plan.py": ("tests/unit/operator/domain/serving",),
    f"{DECISIONS}/serving/numbering.py": ("tests/unit/operator/domain/serving",),
    f"{DECISIONS}/evidence/verdict.py": ("tests/unit/operator/domain/evidence/test_verdict.py",),
    f"{DECISIONS}/evidence/finding.py": ("tests/unit/operator/domain/evidence/test_verdict.py",),
    f"{DECISIONS}/evidence/betting.py": ("tests/unit/operator/domain/evidence/test_betting.py",),
    f"{DECISIONS}/evidence/observation.py": ("tests/unit/operator/domain/evidence/test_observation.py",),
    f"{DECISIONS}/evidence/window.py": ("tests/unit/operator/domain/evidence/test_window.py",),
    f"{DECISIONS}/finetune/decision.py": ("tests/unit/operator/domain/finetune",),
    f"{DECISIONS}/finetune/expiry.py": ("tests/unit/operator/domain/finetune/test_decision.py",),
    f"{DECISIONS}/finetune/progress.py": ("tests/unit/operator/domain/finetune/test_progress.py",),
    f"{OPERATOR}/runtime/turns.py": ("tests/unit/operator/runtime/test_turns.py",),
    f"{OPERATOR}/store/wakes.py": ("tests/unit/operator/store/test_wakes.py",),
    f"{SERVER}/http/routing.py": ("tests/unit/server/http/test_routing.py",),
    f"{SERVER}/adapters/convergence.py": ("tests/unit/server/adapters/test_convergence.py",),
    f"{TRAINER}/prepare/split.py": ("tests/unit/trainer/prepare/test_split.py",),
}
"""The pure modules, each with the unit tests that must notice a change."""
SURVIVORS = "dev/mutants-survivors.txt"
LIBRARIES = (
    "boto3",
    "httpx",
    "jinja2",
    "jwt",
    "moto",
    "numpy",
    "pydantic",
    "safetensors.numpy",
    "scipy.stats",
    "starlette",
    "yaml",
)
"""The packages that the tests import in addition to our code and pytest's plugins."""
SEED = "tunewright"
_FACTOR, _EXTRA_SECONDS = 5.0, 30.0


@dataclasses.dataclass(frozen=True)
class Module:
    """A module with its chosen mutants."""

    path: str
    tree: ast.Module
    mutants: tuple[Mutant, ...]
    keys: frozenset[str]
    """The keys of all its mutants, chosen or not."""

    def trial(self, root: Path, source: str, seconds: float) -> Trial:
        """Return the trial that runs this module's tests on a source."""
        name = self.path.partition("/src/")[2].removesuffix(".py").replace("/", ".")
        tests = tuple(str(root / test) for test in TESTS[self.path])
        return Trial(name, root / self.path, source, tests, seconds)


def main(arguments: Sequence[str]) -> int:
    """Run the mutants; return 0 if every one was killed or is explained."""
    parser = argparse.ArgumentParser(prog="tunewright_dev.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="parts of the paths of the modules to change; default: all modules")
    parser.add_argument("--per-module", type=int, default=10, help="how many mutants of each module (default 10)")
    parser.add_argument("--seed", default=SEED, help="another seed chooses other mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many mutants run at a time")
    options = parser.parse_args(arguments)
    root = find_paths().clone
    explained = survivors.read(root / SURVIVORS)
    picked = [path for path in TESTS if not options.modules or any(part in path for part in options.modules)]
    modules = [read_module(root, path, options.per_module, options.seed) for path in picked]
    os.nice(10)
    preload(LIBRARIES)
    started = time.monotonic()
    baselines = run_trials(
        [module.trial(root, ast.unparse(module.tree), 600.0) for module in modules], options.jobs, _dot
    )
    failed = [module.path for module, ended in zip(modules, baselines, strict=True) if not ended.passed]
    if failed:
        console.warn(f"The tests of {', '.join(failed)} fail without a change; run them first.")
        return 1
    trials = [
        (module, mutant, module.trial(root, mutation.write_mutant(module.tree, mutant), _limit(baseline)))
        for module, baseline in zip(modules, baselines, strict=True)
        for mutant in module.mutants
    ]
    # The unchanged sources again: if the disk is full or the clone was deleted by now, all mutants look killed.
    checks = [ended.trial for ended in baselines]
    ends = run_trials([*(trial for _, _, trial in trials), *checks], options.jobs, _dot)
    if not all(ended.passed for ended in ends[len(trials) :]):
        console.warn(
            "The tests no longer pass without a change, so the results of the mutants are invalid. Run it again."
        )
        return 1
    ends = ends[: len(trials)]
    alive = {(module.path, mutant.key) for (module, mutant, _), ended in zip(trials, ends, strict=True) if ended.passed}
    console.say("")
    print_table(modules, alive, explained)
    console.say(f"{len(trials)} mutants in {time.monotonic() - started:.0f} s")
    problems = survivors.find_problems(
        {module.path: (module.mutants, module.keys) for module in modules}, alive, explained
    )
    for problem in problems:
        console.warn(problem)
    return 1 if problems else 0


def read_module(root: Path, path: str, number: int, seed: str) -> Module:
    """Read a module and choose its mutants."""
    tree = ast.parse((root / path).read_text())
    mutants = mutation.list_mutants(tree)
    chosen = mutation.choose_mutants(mutants, number, seed)
    return Module(path, tree, tuple(chosen), frozenset(mutant.key for mutant in mutants))


def print_table(modules: Sequence[Module], alive: set[tuple[str, str]], explained: survivors.Explained) -> None:
    """Print a line for each module."""
    console.say(f"{'module':<66}{'mutants':>8}{'killed':>8}{'explained':>11}{'survived':>10}")
    rows = [
        (
            module.path,
            len(module.mutants),
            sum((module.path, mutant.key) not in alive for mutant in module.mutants),
            sum((module.path, mutant.key) in alive & explained.keys() for mutant in module.mutants),
            sum((module.path, mutant.key) in alive - explained.keys() for mutant in module.mutants),
        )
        for module in modules
    ]
    rows.append(("all", *(sum(row[column] for row in rows) for column in range(1, 5))))  # type: ignore[arg-type,misc]
    for path, *counts in rows:
        console.say(f"{path:<66}{counts[0]:>8}{counts[1]:>8}{counts[2]:>11}{counts[3]:>10}")


def _limit(baseline: Ended) -> float:
    return baseline.seconds * _FACTOR + _EXTRA_SECONDS


def _dot(ended: Ended) -> None:
    print("S" if ended.passed else ".", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
