"""What Prometheus asks for: counted in memory that all workers of a server share, so that any of them can answer.

Each worker writes a row of its own in one file; a scrape adds the rows up, so what a worker counted outlives it. Names
follow https://prometheus.io/docs/practices/naming/: base units, and `_total` for counters.
"""

from __future__ import annotations

import mmap
import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mltool.serving.served import Served

ROUTES = ("infer", "predict", "metadata", "health", "metrics", "page", "other")
CODES = (200, 400, 401, 404, 405, 413, 415, 429, 499, 500, 503, 504)
"""499 is a client that was gone, or given up, before its request was whole."""
_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SIZES = tuple(2.0**power for power in range(11))

_ASKING = (ROUTES.index("infer"), ROUTES.index("predict"))
_PID, _STARTED = 0, 1  # of the worker, at the start of its row
_REQUESTS = 2
_GAUGES = _REQUESTS + len(ROUTES) * len(CODES)
IN_PROGRESS, WAITING, NOT_RECORDED = range(_GAUGES, _GAUGES + 3)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A histogram: where it starts in a row, one place for each bucket, one for what is above all, one for the sum."""

    name: str
    help: str
    bounds: Sequence[float]
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.bounds) + 2


_REQUEST = _Kind(
    "mltool_request_duration_seconds",
    "From the head of a request for predictions to its answer.",
    _SECONDS,
    NOT_RECORDED + 1,
)
_QUEUE = _Kind("mltool_queue_duration_seconds", "How long a request waited for its batch.", _SECONDS, _REQUEST.end)
_INFERENCE = _Kind("mltool_inference_duration_seconds", "How long the model took for a batch.", _SECONDS, _QUEUE.end)
_BATCH = _Kind("mltool_batch_size", "Samples in a batch.", _SIZES, _INFERENCE.end)
_LENGTH = _BATCH.end


class Metrics:
    """The counters of one worker, and the text of all of them."""

    def __init__(self, path: Path, worker: int = 0, num_workers: int = 1) -> None:
        size = 8 * _LENGTH * num_workers
        with path.open("a+b") as file:
            if os.fstat(file.fileno()).st_size < size:
                file.truncate(size)
            memory = memoryview(mmap.mmap(file.fileno(), size)).cast("d")
        self._rows = [memory[start : start + _LENGTH] for start in range(0, _LENGTH * num_workers, _LENGTH)]
        self.row = self._rows[worker]
        self.row[IN_PROGRESS] = self.row[WAITING] = 0.0  # of a worker that died, whose place this one takes
        self.not_recorded_before = self.row[NOT_RECORDED]
        self.row[_PID], self.row[_STARTED] = os.getpid(), time.time()
        self._request_s, self._queue_s, self._inference_s, self._batch_size = (
            Histogram(self.row, kind) for kind in (_REQUEST, _QUEUE, _INFERENCE, _BATCH)
        )

    def request_done(self, route: int, status: int, seconds: float) -> None:
        """Count a request; how long it took counts where it asked the model."""
        row = self.row
        row[_REQUESTS + route * len(CODES) + _CODE_PLACES.get(status, _CODE_PLACES[500])] += 1.0
        row[IN_PROGRESS] -= 1.0
        if route in _ASKING:
            self._request_s.observe(seconds)

    def batch_done(self, num_samples: int, run_s: float, waits_s: list[float]) -> None:
        self._inference_s.observe(run_s)
        self._batch_size.observe(num_samples)
        for wait_s in waits_s:
            self._queue_s.observe(wait_s)

    def text(self, served: Served) -> bytes:
        """All workers together, in Prometheus' text format."""
        totals = [sum(places) for places in zip(*self._rows, strict=True)]
        return ("\n".join(_lines(totals, self._rows, served)) + "\n").encode()


_CODE_PLACES = {code: place for place, code in enumerate(CODES)}


class Histogram:
    __slots__ = ("_bounds", "_row", "_start", "_sum")

    def __init__(self, row: memoryview[float], kind: _Kind) -> None:
        self._row, self._start, self._sum, self._bounds = row, kind.start, kind.end - 1, kind.bounds

    def observe(self, value: float) -> None:
        self._row[self._start + bisect_left(self._bounds, value)] += 1.0
        self._row[self._sum] += value


def _lines(totals: Sequence[float], rows: Sequence[memoryview[float]], served: Served) -> Iterator[str]:
    model = f'model="{served.name}",version="{served.version}"'
    yield from _head("mltool_requests_total", "counter", "Requests that were answered.")
    for r, route in enumerate(ROUTES):
        for c, code in enumerate(CODES):
            num_requests = totals[_REQUESTS + r * len(CODES) + c]
            if num_requests:
                yield f'mltool_requests_total{{{model},route="{route}",code="{code}"}} {num_requests:.0f}'
    for kind in (_REQUEST, _QUEUE, _INFERENCE, _BATCH):
        yield from _head(kind.name, "histogram", kind.help)
        num_below = 0.0
        for bound, inside in zip((*map(str, kind.bounds), "+Inf"), totals[kind.start : kind.end - 1], strict=True):
            num_below += inside
            yield f'{kind.name}_bucket{{{model},le="{bound}"}} {num_below:.0f}'
        yield f"{kind.name}_sum{{{model}}} {totals[kind.end - 1]!r}"
        yield f"{kind.name}_count{{{model}}} {num_below:.0f}"
    for name, type_, place, text in (
        ("mltool_requests_in_progress", "gauge", IN_PROGRESS, "Requests that are being answered."),
        ("mltool_queue_depth", "gauge", WAITING, "Samples that wait for their batch."),
        ("mltool_prediction_log_dropped_total", "counter", NOT_RECORDED, "Predictions that could not be recorded."),
    ):
        yield from _head(name, type_, text)
        yield f"{name}{{{model}}} {totals[place]:.0f}"
    yield from _head("mltool_model_info", "gauge", "The model that answers.")
    yield f'mltool_model_info{{{model},digest="{served.model.digest}"}} 1'
    yield from _head("mltool_model_loaded_timestamp_seconds", "gauge", "When the newest worker had loaded the model.")
    yield f"mltool_model_loaded_timestamp_seconds{{{model}}} {max(row[_STARTED] for row in rows):.3f}"
    yield from _process_lines([int(row[_PID]) for row in rows if row[_PID]])


def _process_lines(pids: Sequence[int]) -> Iterator[str]:
    """Processor time, memory and files of the workers that live, where the system says them."""
    cpu_s = memory_bytes = num_files = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            cpu_s += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            memory_bytes += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            num_files += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only counted
        except OSError:
            continue
    for name, type_, value, text in (
        ("process_cpu_seconds_total", "counter", f"{cpu_s:.2f}", "Processor time of all workers."),
        ("process_resident_memory_bytes", "gauge", f"{memory_bytes:.0f}", "Memory of all workers."),
        ("process_open_fds", "gauge", f"{num_files:.0f}", "Open files of all workers."),
    ):
        if memory_bytes:
            yield from _head(name, type_, text)
            yield f"{name} {value}"


def _head(name: str, type_: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {type_}"
