from __future__ import annotations

import pytest

from scale_bench.options import CLONE, Options, find_problem, read_options


def test_the_defaults_are_the_size_of_the_targets():
    options = read_options([])
    assert options == Options()
    assert (options.jobs, options.deployments, options.servers, options.pods) == (10_000, 1_000, 100, 4)
    assert (options.training, options.rollouts) == (200, 50)


def test_trainings_and_rollouts_shrink_with_the_world():
    options = read_options(["--jobs", "300", "--deployments", "100", "--servers", "20"])
    assert (options.training, options.rollouts, options.namespaces) == (6, 5, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jobs": 0}, "at least 1"),
        ({"jobs": 10, "training": 20}, "at most --jobs"),
        ({"jobs": 10, "training": 9}, "each tenant needs a job"),
        ({"source": CLONE / "docs"}, "not a clone"),
    ],
)
def test_an_impossible_size_is_refused(changes, message):
    assert message in find_problem(Options(**changes))
    assert not find_problem(Options())


def test_the_help_describes_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        read_options(["--help"])
    assert stopped.value.code == 0
    assert "2 % of the jobs" in capsys.readouterr().out
