"""Counters of requests, shared by the processes of one server without a message between them.

Each process counts into an array of 64-bit numbers that is a small file mapped into memory: adding
costs a tenth of a microsecond, survives the process, and whoever is asked for ``/metrics`` reads
the files of all of them. A restarted process has the slot of the dead one and counts on.

Why not prometheus_client's own multiprocess mode: it takes microseconds for each observation and
leaves a file for each process that ever ran. The library renders what is counted here.

Rules: the layout follows from the list of routes, the same in all processes of one server; numbers
are only added to, by one thread of one process each. Behind those of the routes stand a few of
what a process does beside its requests (``TASKS``).
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prometheus_client import Metric

# Upper bounds in seconds: a warm check is some tens of microseconds, an import minutes.
BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
)  # fmt: skip
STATUSES = (
    200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 499, 500, 502, 503,
    504, 507,
)  # fmt: skip
_OTHER = len(STATUSES)
_STATUS_AT = {status: at for at, status in enumerate(STATUSES)}
# Per route: a count for each status and "other", a bucket for each bound and infinity, the sum.
_BUCKETS_AT = len(STATUSES) + 1
_SUM_AT = _BUCKETS_AT + len(BOUNDS) + 1
_WIDTH = _SUM_AT + 1
_NS = 1_000_000_000
# Counters of what a process does behind its requests: name -> what it counts.
TASKS = {
    "decisions_recorded": "Decisions written to the audit log.",
    "decisions_dropped": "Decisions the audit log had no room for.",
    "collected": "Entries of history, audit and expired rows removed past the retention.",
    "swept": "Entries of deleted applications removed.",
}
_TASK_AT = {name: at for at, name in enumerate(TASKS)}


class RequestMetrics:
    """Counts requests of this process and renders those of all."""

    def __init__(
        self,
        routes: Sequence[str],
        gauges: Callable[[], Mapping[str, int]],
        *,
        directory: Path | None = None,
        slot: str = "web-0",
    ) -> None:
        """Open this process's counters.

        Args:
            routes: names by number; `observe` takes the number.
            gauges: numbers of the store, asked for at each rendering.
            directory: where the processes share their counters; None keeps them here.
            slot: this process's name in it.
        """
        self._routes = tuple(routes)
        self._directory = directory
        self._slot = slot
        self._tasks_at = len(self._routes) * _WIDTH
        size = (self._tasks_at + len(TASKS)) * 8
        if directory is None:
            self._map = mmap.mmap(-1, size)
        else:
            with (directory / f"{slot}.metrics").open("a+b") as file:
                file.truncate(size)
                self._map = mmap.mmap(file.fileno(), size)
        self._counts = memoryview(self._map).cast("Q")
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Requests(self))
        self._registry.register(_Tasks(self))
        self._registry.register(_Gauges(gauges))

    def observe(self, route: int, status: int, seconds: float) -> None:
        """Count one answered request."""
        counts = self._counts
        start = route * _WIDTH
        counts[start + _STATUS_AT.get(status, _OTHER)] += 1
        counts[start + _BUCKETS_AT + bisect_left(BOUNDS, seconds)] += 1
        counts[start + _SUM_AT] += int(seconds * _NS)

    def count(self, task: str, number: int) -> None:
        """Count what was done behind the requests; ``task`` is one of ``TASKS``."""
        self._counts[self._tasks_at + _TASK_AT[task]] += number

    def tasks(self) -> Iterator[tuple[str, memoryview]]:
        """(process, its numbers in the order of ``TASKS``) of every process."""
        for slot, counts in self._processes():
            yield slot, counts[self._tasks_at :]

    def render(self) -> bytes:
        """All counters in Prometheus's text form."""
        return generate_latest(self._registry)

    def rows(self) -> Iterator[tuple[str, str, memoryview]]:
        """(process, route, its numbers) of every process that counted."""
        for slot, counts in self._processes():
            for number, route in enumerate(self._routes):
                part = counts[number * _WIDTH : (number + 1) * _WIDTH]
                if any(part[:_BUCKETS_AT]):
                    yield slot, route, part

    def _processes(self) -> Iterator[tuple[str, memoryview]]:
        yield self._slot, self._counts
        if self._directory is None:
            return
        for path in sorted(self._directory.glob("*.metrics")):
            if path.stem != self._slot:
                raw = path.read_bytes()
                if len(raw) == len(self._map):  # else it is being made this moment
                    yield path.stem, memoryview(raw).cast("Q")


class _Requests(Collector):
    """Counters and durations by process, route and status."""

    def __init__(self, metrics: RequestMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "zeratul_requests", "Requests answered.", labels=["process", "route", "status"]
        )
        seconds = HistogramMetricFamily(
            "zeratul_request_duration_seconds",
            "Time from the request's head to its answer.",
            labels=["process", "route"],
        )
        for slot, route, part in self._metrics.rows():
            for at, status in enumerate((*STATUSES, "other")):
                if part[at]:
                    requests.add_metric([slot, route, str(status)], part[at])
            below = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip((*BOUNDS, "+Inf"), part[_BUCKETS_AT:_SUM_AT], strict=True):
                below += count
                buckets.append((str(bound), below))
            seconds.add_metric([slot, route], buckets, sum_value=part[_SUM_AT] / _NS)
        yield requests
        yield seconds


class _Tasks(Collector):
    """Counters of what is done behind the requests, by process."""

    def __init__(self, metrics: RequestMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        rows = list(self._metrics.tasks())
        for at, (name, meaning) in enumerate(TASKS.items()):
            family = CounterMetricFamily(f"zeratul_{name}", meaning, labels=["process"])
            for slot, numbers in rows:
                family.add_metric([slot], numbers[at])
            yield family


class _Gauges(Collector):
    """Numbers of the store, as it names them."""

    def __init__(self, gauges: Callable[[], Mapping[str, int]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, value in self._gauges().items():
            clean = "".join(each if each.isalnum() else "_" for each in name)
            yield GaugeMetricFamily(
                f"zeratul_store_{clean}", f"The store's {name.replace('_', ' ')}.", value=value
            )
