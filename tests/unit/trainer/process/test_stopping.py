"""SIGTERM interrupts interruptible blocks, and waits where work would be lost."""

import os
import signal

import pytest

from tunewright_trainer.process.stopping import Stopper, StopRequestedError


@pytest.fixture
def stopper():
    before = signal.getsignal(signal.SIGTERM)
    stopper = Stopper()
    stopper.install()
    yield stopper
    signal.signal(signal.SIGTERM, before)


def test_interrupts_an_interruptible_block(stopper):
    with pytest.raises(StopRequestedError), stopper.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)


def test_waits_elsewhere_until_the_next_interruptible_block(stopper):
    os.kill(os.getpid(), signal.SIGTERM)
    assert stopper.requested
    with pytest.raises(StopRequestedError), stopper.interruptible():
        pytest.fail("the block must not begin")


def stop_twice(stopper, report):
    with stopper.interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            report.append("reported")


def test_a_second_sigterm_does_not_interrupt_the_report_of_the_first(stopper):
    report = []
    with pytest.raises(StopRequestedError):
        stop_twice(stopper, report)
    assert report == ["reported"]


def test_libraries_cannot_suppress_the_interruption():
    assert not issubclass(StopRequestedError, Exception)


def test_wait_returns_whether_to_stop(stopper):
    assert not stopper.wait(0)
    stopper.request()
    assert stopper.wait(60)
