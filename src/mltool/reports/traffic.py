"""Plots of what a deployment was asked and how it answered, over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from mltool.core import moments
from mltool.reports.bars import dot_plot
from mltool.reports.markup import Html, join, number, percent
from mltool.reports.page import table
from mltool.reports.plots import Point, line_chart

Row = Mapping[str, Any]
MAX_CLASSES_DRAWN = 5
"""Lines of a chart; the rest is one more."""
_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def traffic_plots(traffic: Row) -> Html:
    """Requests and latencies."""
    requests = {
        "answered": _points(traffic, lambda one: one["num_requests"] - one["num_failed"]),
        "failed": _points(traffic, lambda one: one["num_failed"]),
    }
    if not traffic["num_failed"]:
        del requests["failed"]
    latencies = {
        "p50": _points(traffic, lambda one: one["latency_p50_ms"]),
        "p99": _points(traffic, lambda one: one["latency_p99_ms"]),
    }
    return _plots([_chart(traffic, requests, "requests"), _chart(traffic, latencies, "latency, ms")])


def answer_plots(traffic: Row, usual_classes: Mapping[str, int]) -> Html:
    """Predicted classes, against those of the reference and over time; confidence, or predicted numbers."""
    plots = []
    classes = dict(traffic["classes"])
    if any(classes.values()):
        groups = {"reference": usual_classes, "requests": classes} if usual_classes else {"requests": classes}
        plots.append(dot_plot(groups, "predicted class, share", title="Predicted classes"))
        frequent = sorted(classes, key=lambda name: -classes[name])[:MAX_CLASSES_DRAWN]
        shares = {name: _points(traffic, _share_of([name])) for name in frequent}
        rest = [name for name in classes if name not in frequent and classes[name]]
        if rest:
            shares["others"] = _points(traffic, _share_of(rest))
        plots.append(_chart(traffic, shares, "predicted class, share", log=False))
    for key in ("confidence", "prediction"):
        points = _points(traffic, itemgetter(key))
        if any(math.isfinite(y) for _, y in points):
            plots.append(_chart(traffic, {key: points}, f"mean {key}", log=False))
    return _plots(plots) if plots else Html("")


def statuses(traffic: Row) -> Html:
    """How requests ended, where some failed."""
    if not traffic["num_failed"]:
        return Html("")
    total = traffic["num_requests"]
    rows = [(status, count, percent(count / total)) for status, count in traffic["statuses"].items()]
    return table(("status", "requests", "share"), rows, label="Statuses")


def span(traffic: Row) -> str:
    """From when to when, in words."""
    return f"{moments.shown(traffic['first_s'])} to {moments.shown(traffic['last_s'])} UTC"


def duration(traffic: Row) -> str:
    """How long, in words."""
    seconds, unit = _unit(traffic)
    return f"in {number((traffic['last_s'] - traffic['first_s']) / seconds)} {unit}"


def _chart(traffic: Row, series: Mapping[str, Sequence[Point]], label: str, *, log: bool | None = None) -> Html:
    return line_chart(series, f"{_unit(traffic)[1]} before {moments.shown(traffic['last_s'])} UTC", label, log=log)


def _points(traffic: Row, value: Callable[[Row], float | None]) -> list[Point]:
    """Time runs to the right, towards 0, the last request."""
    seconds, _ = _unit(traffic)
    points = []
    for stretch in traffic["stretches"]:
        y = value(stretch)
        points.append(((stretch["time_s"] - traffic["last_s"]) / seconds, math.nan if y is None else float(y)))
    return points


def _unit(traffic: Row) -> tuple[float, str]:
    duration_s = traffic["last_s"] - traffic["first_s"]
    return next((unit for unit in _UNITS if duration_s >= 2 * unit[0]), _UNITS[-1])


def _share_of(names: Sequence[str]) -> Callable[[Row], float | None]:
    def share(stretch: Row) -> float | None:
        total = sum(stretch["classes"].values())
        return sum(stretch["classes"].get(name, 0) for name in names) / total if total else None

    return share


def _plots(plots: Sequence[Html]) -> Html:
    return Html(f'<div class="plots">{join(plots)}</div>')


def accuracy_in_words(traffic: Row) -> tuple[str, str] | None:
    """The accuracy of the answers whose labels came, with its interval."""
    if traffic["accuracy"] is None:
        return None
    value, low, high = traffic["accuracy"]
    return number(value), f"{number(low)} to {number(high)}, {traffic['num_labelled']:,} labels"
