"""What a deployment was asked and how it answered, summed up over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.datasets.cells import category_key, category_text
from mltool.datasets.schema import Schema
from mltool.records.reading import Record
from mltool.statistics.intervals import wilson_interval

# Axes: N requests, M answered rows, B bins of time

_OK = 200
_MAX_BINS = 40
_REQUESTS_IN_A_BIN = 10
_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some time of a log, as plain numbers; None where there is nothing to count.

    Attributes:
        time_s: Its middle, in Unix seconds.
        num_failed: Requests that were not answered with 200.
        classes: How often each class was predicted.
        confidence: The mean probability of the predicted class.
        prediction: The mean of predicted numbers.
    """

    time_s: float
    num_requests: int
    num_failed: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    classes: Mapping[str, int]
    confidence: float | None
    prediction: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All that was recorded of one model.

    Attributes:
        num_answers: Rows in all answers; a request may bring several.
        num_labelled: Of them, those whose label is known.
        accuracy: The share of those that were right, with an interval at 95%; None without classes or labels.
    """

    first_s: float
    last_s: float
    num_requests: int
    num_failed: int
    num_answers: int
    latency_ms: Mapping[str, float]
    statuses: Mapping[str, int]
    classes: Mapping[str, int]
    stretches: Sequence[Stretch]
    num_labelled: int = 0
    accuracy: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "stretches": [asdict(stretch) for stretch in self.stretches]}


@dataclass(slots=True)
class _Columns:
    """What is kept of each request, and of each answered row."""

    time_N: list[float] = field(default_factory=list)
    status_N: list[int] = field(default_factory=list)
    latency_N: list[float] = field(default_factory=list)
    row_time_M: list[float] = field(default_factory=list)
    class_M: list[int] = field(default_factory=list)
    confidence_M: list[float] = field(default_factory=list)
    number_M: list[float] = field(default_factory=list)
    num_right: int = 0
    num_labelled: int = 0


def traffic_of(records: Iterable[Record], schema: Schema) -> Traffic | None:
    """Sum up records in the order of time; None if there are none."""
    found, codes = _Columns(), {category_key(name): code for code, name in enumerate(schema.target.classes)}
    for record in records:
        found.time_N.append(record.time_s)
        found.status_N.append(record.status)
        found.latency_N.append(record.latency_ms)
        if record.status == _OK and record.outputs:
            _add_answers(found, record, codes)
    return _summed(found, schema.target.classes) if found.time_N else None


def _add_answers(found: _Columns, record: Record, codes: Mapping[str, int]) -> None:
    outputs = record.outputs or {}
    probabilities, prediction = outputs.get("probabilities"), outputs.get("prediction")
    if codes and probabilities is not None and probabilities.ndim == 2:
        classes = probabilities.argmax(axis=1).tolist()
        found.class_M += classes
        found.confidence_M += probabilities.max(axis=1).tolist()
        found.row_time_M += [record.time_s] * len(classes)
        if record.label is not None and len(classes) == 1:
            text = category_text(record.label.value)
            found.num_labelled += 1
            found.num_right += text is not None and codes.get(category_key(text)) == classes[0]
    elif not codes and prediction is not None and prediction.ndim == 1:
        found.number_M += prediction.tolist()
        found.row_time_M += [record.time_s] * len(prediction)


def _summed(found: _Columns, names: Sequence[str]) -> Traffic:
    time_N, status_N, latency_N = (np.array(column) for column in (found.time_N, found.status_N, found.latency_N))
    first_s, last_s, is_ok_N = float(time_N.min()), float(time_N.max()), status_N == _OK
    num_bins = int(np.clip(len(time_N) // _REQUESTS_IN_A_BIN, 1, _MAX_BINS))
    edges = np.linspace(first_s, last_s if last_s > first_s else first_s + 1.0, num_bins + 1)
    bin_N, bin_M = (
        np.clip(np.searchsorted(edges, np.array(times, np.float64), side="right") - 1, 0, num_bins - 1)
        for times in (time_N, found.row_time_M)
    )
    stretches = []
    for index in range(num_bins):
        in_bin_N, in_bin_M = bin_N == index, np.flatnonzero(bin_M == index)
        p50, p99 = _percentiles(latency_N[in_bin_N & is_ok_N], (50, 99))
        stretches.append(
            Stretch(
                time_s=float((edges[index] + edges[index + 1]) / 2),
                num_requests=int(in_bin_N.sum()),
                num_failed=int((in_bin_N & ~is_ok_N).sum()),
                latency_p50_ms=p50,
                latency_p99_ms=p99,
                classes=_counts(found.class_M, in_bin_M, names),
                confidence=_mean(found.confidence_M, in_bin_M),
                prediction=_mean(found.number_M, in_bin_M),
            )
        )
    whole = zip(_PERCENTILES, _percentiles(latency_N[is_ok_N], _PERCENTILES), strict=True)
    accuracy = None
    if found.num_labelled:
        accuracy = (found.num_right / found.num_labelled, *wilson_interval(found.num_right, found.num_labelled))
    return Traffic(
        first_s=first_s,
        last_s=last_s,
        num_requests=len(time_N),
        num_failed=int((~is_ok_N).sum()),
        num_answers=len(found.row_time_M),
        latency_ms={f"p{level}": value for level, value in whole if value is not None},
        statuses={str(status): count for status, count in sorted(Counter(found.status_N).items())},
        classes=_counts(found.class_M, np.arange(len(found.class_M)), names),
        stretches=stretches,
        num_labelled=found.num_labelled,
        accuracy=accuracy,
    )


def _percentiles(values: npt.NDArray[Any], levels: Sequence[int]) -> list[float | None]:
    return [float(value) for value in np.percentile(values, levels)] if len(values) else [None] * len(levels)


def _counts(codes_M: Sequence[int], chosen: npt.NDArray[Any], names: Sequence[str]) -> dict[str, int]:
    if not codes_M:
        return {}
    counts = np.bincount(np.array(codes_M)[chosen], minlength=len(names))
    return dict(zip(names, counts.tolist(), strict=False))


def _mean(values_M: Sequence[float], chosen: npt.NDArray[Any]) -> float | None:
    return float(np.array(values_M)[chosen].mean()) if values_M and len(chosen) else None
