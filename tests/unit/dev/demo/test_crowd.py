"""When customers come, at which pace they ask, and when they leave."""

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


def test_nobody_is_asked_to_change_the_pace_before_they_came(crowd, kubectl):
    crowd.keep(QUIET)
    crowd.dismiss()
    assert (crowd.is_here, crowd.has_left, kubectl.paces) == (False, False, [])


def test_the_pace_is_changed_only_when_it_is_another(crowd, kubectl):
    crowd.let_in(WANTED, EXAMPLE)
    for pace in (BUSY, QUIET, QUIET, BUSY):
        crowd.keep(pace)
    assert crowd.is_here
    assert kubectl.paces == ["--set-customers=1", "--set-customers=24"]


def test_a_pace_that_cannot_be_changed_is_said_once_and_tried_again(crowd, kubectl, said):
    crowd.let_in(WANTED, EXAMPLE)
    kubectl.broken = True
    crowd.keep(QUIET)
    crowd.keep(QUIET)
    assert [line for line in said if "could not be changed yet: the pod does not answer" in line] == said[1:]
    assert len(said) == 2
    kubectl.broken = False
    crowd.keep(QUIET)
    crowd.keep(QUIET)
    assert kubectl.paces == ["--set-customers=1"]


def test_who_was_sent_home_stays_there(crowd, kubectl):
    crowd.let_in(WANTED, EXAMPLE)
    crowd.send_home()
    crowd.keep(BUSY)
    crowd.dismiss()
    assert crowd.has_left
    assert kubectl.paces == [f"--set-customers={END.customers}"]


def test_their_end_cannot_be_left_out_but_a_broken_story_leaves_quietly(crowd, kubectl):
    crowd.let_in(WANTED, EXAMPLE)
    kubectl.broken = True
    with pytest.raises(DevError):
        crowd.send_home()
    crowd.dismiss()
    kubectl.broken = False
    crowd.dismiss()
    assert kubectl.paces == [f"--set-customers={END.customers}"]
