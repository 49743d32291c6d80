"""Counters and histograms for what is counted with each webhook, read by Prometheus like others.

prometheus_client guards each value with a mutex, for programs with threads, and looks up its series
each time: five times the cost. Here only tasks of the event loop may count; any thread may read.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series:
    """The count for one set of label values."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Count."""
        self.value += amount


class PlainCounter(Collector):
    """A counter with labels, used like `prometheus_client.Counter`."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name, self._meaning, self._labels = name, meaning, labels
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series with these values of the labels, which begins at 0."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series()
        return series

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, series in list(self._series.items()):
            family.add_metric(values, series.value)
        yield family


class PlainHistogram(Collector):
    """A histogram without labels, used like `prometheus_client.Histogram`."""

    def __init__(
        self, name: str, meaning: str, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._meaning = name, meaning
        self._ends = (*buckets, inf)
        self._counts = [0] * len(self._ends)
        self._sum = 0.0
        registry.register(self)

    def observe(self, amount: float) -> None:
        """Count into the bucket of ``amount``, whose upper end belongs to it."""
        self._counts[bisect_left(self._ends, amount)] += 1
        self._sum += amount

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        names = map(floatToGoString, self._ends)
        buckets = list(zip(names, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._meaning, buckets=buckets, sum_value=self._sum)
