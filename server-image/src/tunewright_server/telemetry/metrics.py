"""The pod's metrics in Prometheus' default registry, which vLLM serves at ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tunewright_contracts.pool_load import PodLoad
from tunewright_contracts.serving_plan import LATENCY_BOUNDS_MILLISECONDS, AdapterState, RevisionCounters
from tunewright_server.telemetry.counters import Counters

_LABELS = ("alias", "revision")
_COUNTS: tuple[tuple[str, str, Callable[[RevisionCounters], int]], ...] = (
    ("tunewright_answers", "Finished answers to clients.", lambda item: item.answers),
    (
        "tunewright_unchecked_answers",
        "Answers whose output contract could not be checked.",
        lambda item: item.unchecked,
    ),
    (
        "tunewright_requests",
        "Requests that were answered, failed or abandoned by the client.",
        lambda item: item.requests,
    ),
    (
        "tunewright_abandoned_requests",
        "Requests whose client disconnected before the last byte.",
        lambda item: item.abandoned,
    ),
    (
        "tunewright_overloaded_requests",
        "Requests that vLLM refused with 429 or 503.",
        lambda item: item.overloaded,
    ),
)


class ServerCollector(Collector):
    """Read the counters at each scrape, so that nothing is counted twice."""

    def __init__(
        self,
        counters: Counters,
        refusals: dict[str, int],
        adapters: Callable[[], Iterable[AdapterState]],
        load: Callable[[], PodLoad],
        generation: Callable[[], int],
    ) -> None:
        self._counters = counters
        self._refusals = refusals
        self._adapters = adapters
        self._load = load
        self._generation = generation

    def describe(self) -> Iterable[Metric]:
        """Return no metrics, so that the registry does not scrape at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        snapshot = self._counters.snapshot()
        for name, text, read in _COUNTS:
            yield _build_counter(name, text, snapshot, read)
        yield _bad_answers(snapshot)
        yield _seconds(snapshot, self._counters)
        refused = CounterMetricFamily(
            "tunewright_refused_requests", "Requests that reached no adapter, by error code.", labels=("code",)
        )
        for code, count in self._refusals.items():
            refused.add_metric((code,), count)
        yield refused
        states = tuple(self._adapters())
        phase = GaugeMetricFamily(
            "tunewright_adapter_phase", "1 for each adapter's phase.", labels=("revision", "phase")
        )
        flying = GaugeMetricFamily("tunewright_requests_in_flight", "Running requests.", labels=("revision",))
        for state in states:
            phase.add_metric((state.name, state.phase.value), 1)
            flying.add_metric((state.name,), state.in_flight)
        yield phase
        yield flying
        yield from _places(self._load())
        yield GaugeMetricFamily(
            "tunewright_plan_generation", "Generation of the serving plan in force.", value=self._generation()
        )


def _places(load: PodLoad) -> Iterator[Metric]:
    """Yield the pod's places, and those that evaluations use and may use."""
    yield GaugeMetricFamily("tunewright_places", "Sequences that vLLM computes at a time.", value=load.capacity)
    yield GaugeMetricFamily(
        "tunewright_evaluation_requests_in_flight", "Running requests of evaluations.", value=load.evaluating
    )
    yield GaugeMetricFamily(
        "tunewright_evaluation_requests_limit", "Requests of evaluations that the pod admits now.", value=load.limit
    )


def register(collector: ServerCollector, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Add a collector, and return a function that removes it."""
    registry.register(collector)
    return lambda: registry.unregister(collector)


def _build_counter(
    name: str, text: str, snapshot: tuple[RevisionCounters, ...], read: Callable[[RevisionCounters], int]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=_LABELS)
    for item in snapshot:
        family.add_metric((item.alias, item.revision), read(item))
    return family


def _bad_answers(snapshot: tuple[RevisionCounters, ...]) -> Metric:
    family = CounterMetricFamily(
        "tunewright_bad_answers", "Bad answers by live metric of the analysis.", labels=(*_LABELS, "metric")
    )
    for item in snapshot:
        for metric, count in item.bad.items():
            family.add_metric((item.alias, item.revision, metric), count)
    return family


def _seconds(snapshot: tuple[RevisionCounters, ...], counters: Counters) -> Metric:
    family = HistogramMetricFamily(
        "tunewright_answer_seconds", "Time from a request's last byte to its answer's last byte.", labels=_LABELS
    )
    sums = {(alias, revision): milliseconds / 1000 for alias, revision, milliseconds in counters.sums()}
    for item in snapshot:
        buckets: list[tuple[str, float]] = []
        total = 0
        for position, count in enumerate(item.latency_milliseconds):
            total += count
            last = position == len(LATENCY_BOUNDS_MILLISECONDS)
            bound = "+Inf" if last else str(LATENCY_BOUNDS_MILLISECONDS[position] / 1000)
            buckets.append((bound, total))
        family.add_metric((item.alias, item.revision), buckets, sum_value=sums[(item.alias, item.revision)])
    return family
