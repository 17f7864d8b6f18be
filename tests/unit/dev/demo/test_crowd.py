"""When customers start, how often they send requests, and when they stop."""

from __future__ import annotations

import pytest

from tunewright_dev.demo.crowd import Crowd
from tunewright_dev.demo.customers import END, QUIET, Customers, Pace
from tunewright_dev.errors import DevError
from tunewright_dev.paths import find_paths

BUSY = Pace(24, 0.5)
WANTED = Customers("support", "image", "http://s:8000", "support", BUSY)
EXAMPLE = find_paths().clone / "examples" / "support-triage"


class Kubectl:
    def __init__(self):
        self.applied, self.paces, self.broken = [], [], False

    def apply(self, objects):
        self.applied += objects

    def run(self, *arguments):
        if self.broken:
            raise DevError("the pod does not answer")
        self.paces.append(arguments[-1])


@pytest.fixture
def kubectl():
    return Kubectl()


@pytest.fixture
def said():
    return []


@pytest.fixture
def crowd(kubectl, said):
    return Crowd(kubectl, said.append)


def test_the_pace_is_not_changed_before_the_customers_start(crowd, kubectl):
    crowd.keep(QUIET)
    crowd.dismiss()
    assert (crowd.is_here, crowd.has_left, kubectl.paces) == (False, False, [])


def test_the_pace_is_changed_only_when_it_differs(crowd, kubectl):
    crowd.let_in(WANTED, EXAMPLE)
    for pace in (BUSY, QUIET, QUIET, BUSY):
        crowd.keep(pace)
    assert crowd.is_here
    assert kubectl.paces == ["--set-customers=1", "--set-customers=24"]


def test_a_failed_change_of_pace_is_reported_once_and_retried(crowd, kubectl, said):
    crowd.let_in(WANTED, EXAMPLE)
    kubectl.broken = True
    crowd.keep(QUIET)
    crowd.keep(QUIET)
    assert [
        line for line in said if "could not be changed; this is tried again: the pod does not answer" in line
    ] == said[1:]
    assert len(said) == 2
    kubectl.broken = False
    crowd.keep(QUIET)
    crowd.keep(QUIET)
    assert kubectl.paces == ["--set-customers=1"]


def test_customers_that_were_stopped_do_not_start_again(crowd, kubectl):
    crowd.let_in(WANTED, EXAMPLE)
    crowd.send_home()
    crowd.keep(BUSY)
    crowd.dismiss()
    assert crowd.has_left
    assert kubectl.paces == [f"--set-customers={END.customers}"]


def test_the_customers_must_be_stopped_but_a_failed_story_ignores_an_error(crowd, kubectl):
    crowd.let_in(WANTED, EXAMPLE)
    kubectl.broken = True
    with pytest.raises(DevError):
        crowd.send_home()
    crowd.dismiss()
    kubectl.broken = False
    crowd.dismiss()
    assert kubectl.paces == [f"--set-customers={END.customers}"]
