"""The load of a pod: who is counted, and how many requests of evaluations are admitted."""

from prometheus_client import CollectorRegistry, Gauge

from tunewright_contracts.pool_load import LOAD_HEADER, PodLoad
from tunewright_server.telemetry.load import ASSUMED_CAPACITY, LoadMeter, read_waiting


def make_meter(capacity=8, waiting=0):
    return LoadMeter("ab12", lambda: capacity, lambda: waiting)


def test_clients_and_evaluations_are_counted_apart():
    meter = make_meter()
    for is_evaluation in (True, False, False):
        meter.enter(is_evaluation=is_evaluation)
    assert meter.read() == PodLoad(pod="ab12", capacity=8, live=2, evaluating=1, waiting=0, limit=3)
    meter.leave(is_evaluation=True)
    meter.leave(is_evaluation=False)
    assert (meter.read().live, meter.read().evaluating) == (1, 0)


def test_evaluations_are_admitted_up_to_their_share():
    meter = make_meter()
    admitted = 0
    while meter.admits_evaluation():
        meter.enter(is_evaluation=True)
        admitted += 1
    assert admitted == 4
    meter.enter(is_evaluation=False)
    meter.leave(is_evaluation=True)
    assert not meter.admits_evaluation(), "seven places are free, of which three are for evaluations"


def test_the_share_can_change():
    meter = make_meter()
    meter.share_percent = 25
    assert meter.read().limit == 2


def test_one_evaluation_is_admitted_while_requests_wait():
    meter = make_meter(waiting=1)
    assert meter.read().limit == 1
    assert meter.admits_evaluation()


def test_an_unknown_capacity_is_assumed_to_be_small():
    assert make_meter(capacity=None).read().capacity == ASSUMED_CAPACITY


def test_the_header_has_the_load():
    ((name, value),) = make_meter().headers()
    assert name.decode() == LOAD_HEADER
    assert PodLoad.from_json(value) == make_meter().read()


def test_waiting_requests_are_read_from_vllms_metric():
    registry = CollectorRegistry()
    assert read_waiting(registry) == 0
    gauge = Gauge("vllm:num_requests_waiting", "Waiting.", ["engine"], registry=registry)
    Gauge("vllm:num_requests_running", "Running.", ["engine"], registry=registry).labels("0").set(9)
    assert read_waiting(registry) == 0
    gauge.labels("0").set(2)
    gauge.labels("1").set(3)
    assert read_waiting(registry) == 5
