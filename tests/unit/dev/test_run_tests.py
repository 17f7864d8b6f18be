"""The stages that `make test ARGS=…` runs."""

from __future__ import annotations

import pytest

from tunewright_dev import run_tests
from tunewright_dev.errors import DevError

OK, NONE = int(pytest.ExitCode.OK), int(pytest.ExitCode.NO_TESTS_COLLECTED)
INSTALL = [["tunewright_dev", command] for command in ("up", "images", "install")]
LOCAL = ["pytest", "tests/unit", "tests/loop", "tests/security", "-k", "name"]
ON_CLUSTER = ["pytest", "tests/chart", "tests/e2e", "-k", "name"]


class Programs:
    """A fake runner: the results of collections by their first folder, and the stages that ran."""

    def __init__(self, *, local, on_cluster, failing=None):
        self._answers = {"tests/unit": local, "tests/chart": on_cluster, "tests/e2e": on_cluster}
        self._failing = failing
        self.ran = []

    def collect(self, arguments):
        assert arguments[-4:] == ["--collect-only", "--quiet", "-k", "name"]
        return next(code for folder, code in self._answers.items() if arguments[1].startswith(folder))

    def run(self, arguments):
        self.ran.append(arguments)
        return 1 if arguments == self._failing else OK

    def pick(self, *paths):
        return run_tests.run_picked([*paths, "-k", "name"], collect=self.collect, run=self.run)


@pytest.mark.parametrize(
    ("local", "on_cluster", "expected"),
    [
        (OK, NONE, [LOCAL]),
        (NONE, OK, [*INSTALL, ON_CLUSTER]),
        (OK, OK, [LOCAL, *INSTALL, ON_CLUSTER]),
    ],
)
def test_only_the_stages_with_a_selected_test_run(local, on_cluster, expected):
    programs = Programs(local=local, on_cluster=on_cluster)
    assert programs.pick() == 0
    assert programs.ran == expected


def _on_cluster(*paths):
    return [*INSTALL, ["pytest", *paths, "-k", "name"]]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["tests/unit/dev/test_files.py::test_a"], [["pytest", "tests/unit/dev/test_files.py::test_a", "-k", "name"]]),
        (["tests/unit/"], [["pytest", "tests/unit", "-k", "name"]]),
        (["tests/e2e/test_serving.py"], _on_cluster("tests/e2e/test_serving.py")),
        (["tests/chart", "tests/e2e"], _on_cluster("tests/chart", "tests/e2e")),
        (
            ["tests/unit/dev", "tests/e2e"],
            [["pytest", "tests/unit/dev", "-k", "name"], *_on_cluster("tests/e2e")],
        ),
        (["tests"], [LOCAL, *INSTALL, ON_CLUSTER]),
    ],
)
def test_named_folders_and_files_replace_those_of_their_stage(paths, expected):
    programs = Programs(local=OK, on_cluster=OK)
    assert programs.pick(*paths) == 0
    assert programs.ran == expected


@pytest.mark.parametrize("failing", [LOCAL, INSTALL[1]])
def test_a_failed_stage_ends_the_run(failing):
    programs = Programs(local=OK, on_cluster=OK, failing=failing)
    assert programs.pick() == 1
    assert programs.ran[-1] == failing


def test_a_name_without_a_test_is_reported():
    with pytest.raises(DevError, match=r"ARGS='-k name' selects no test in tests/unit, .*tests/e2e"):
        Programs(local=NONE, on_cluster=NONE).pick()


@pytest.mark.parametrize("code", [pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED])
def test_an_error_is_not_taken_for_an_empty_stage(code):
    programs = Programs(local=OK, on_cluster=int(code))
    with pytest.raises(DevError, match="could not collect the tests in tests/chart, tests/e2e"):
        programs.pick()
    assert programs.ran == []
