"""Plots of a search: what each trial reached, over time, over its epochs, and over what was searched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mltool.reports.markup import Html, number
from mltool.reports.plots import HEIGHT, WIDTH
from mltool.reports.svg import Scale, axes, figure, nothing_to_draw, scale, tooltip

_TOP, _BOTTOM, _LEFT, _RIGHT = 38, HEIGHT - 44, 60, WIDTH - 14
_SPREAD = 0.5
"""Share of the width of a choice over which its trials lie side by side."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """What was searched of one key: numbers from `low` to `high`, or options."""

    key: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    options: tuple[str, ...] = ()

    def scale(self) -> Scale:
        if self.options:
            return Scale(-0.5, len(self.options) - 0.5, _LEFT, _RIGHT, names=self.options)
        return scale([self.low, self.high], _LEFT, _RIGHT, log=self.log)

    def place(self, trial: Row) -> float:
        value = trial["config"][self.key]
        if not self.options:
            return float(value)
        aside = float(trial["trial"]) * 0.618034 % 1 - 0.5
        return self.options.index(str(value)) + _SPREAD * aside


def history_plot(trials: Sequence[Row], metric: str, *, minimize: bool) -> Html:
    """The value of each trial, and the best so far."""
    title = f"{metric} of each trial"
    drawn = _with_value(trials)
    if not drawn:
        return nothing_to_draw(title)
    x = scale([trial["trial"] for trial in trials], _LEFT, _RIGHT)
    y = _value_scale(drawn)
    path, best = "", math.nan
    for trial in drawn:
        if trial["outcome"] != "complete":
            continue
        better = not path or (trial["value"] < best if minimize else trial["value"] > best)
        best = trial["value"] if better else best
        path += f"{'H' if path else 'M'}{x(trial['trial']):g}{'V' if path else ' '}{y(best):g}"
    line = Html(f'<g class="s0"><path class="line" d="{path}H{x.end:g}"/></g>') if path else ""
    num_failed = len(trials) - len(drawn)
    note = "The line is the best so far; rings are trials that were stopped early"
    note += f"; {num_failed} failed" if num_failed else ""
    dots = [_dot(x(trial["trial"]), y(trial["value"]), trial, metric) for trial in drawn]
    return figure(WIDTH, HEIGHT, title, [axes(x, y, "trial", _label(metric, y)), line, *dots], note=note)


def key_plot(trials: Sequence[Row], axis: Axis, metric: str) -> Html:
    """The value of each trial over one of its keys."""
    title = f"{metric} over {axis.key}"
    drawn = _with_value(trials)
    if not drawn:
        return nothing_to_draw(title)
    x, y = axis.scale(), _value_scale(drawn)
    dots = [_dot(x(axis.place(trial)), y(trial["value"]), trial, metric) for trial in drawn]
    label = f"{axis.key}, log scale" if axis.log else axis.key
    return figure(WIDTH, HEIGHT, title, [axes(x, y, label, _label(metric, y)), *dots])


def curves_plot(trials: Sequence[Row], best: int, before: int | None, metric: str) -> Html:
    """What each trial had reached after each epoch: the best, the config before the search, and all others."""
    title = f"{metric} over epochs"
    curves = {trial["trial"]: list(trial["curve"]) for trial in trials if trial["curve"]}
    if not curves or max(map(len, curves.values())) < 2:
        return Html("")
    x = scale([1.0, *(float(len(curve)) for curve in curves.values())], _LEFT, _RIGHT)
    y = _value_scale([{"value": value} for curve in curves.values() for value in curve])
    shown = {best: "s0"} if before is None or before == best else {best: "s0", before: "s1"}
    faint = [_curve(curve, x, y, f"trial {n}", "faint") for n, curve in curves.items() if n not in shown]
    bold = [
        Html(f'<g class="{css}">{_curve(curves[n], x, y, f"trial {n}", f"line d{index}")}</g>')
        for index, (n, css) in enumerate(shown.items())
        if n in curves
    ]
    note = f"Bold: trial {best}, the best"
    note += f"; dashed: trial {before}, the config before the search" if len(shown) > 1 else ""
    return figure(WIDTH, HEIGHT, title, [axes(x, y, "epoch", _label(metric, y)), *faint, *reversed(bold)], note=note)


def _curve(curve: Sequence[float], x: Scale, y: Scale, says: str, css: str) -> Html:
    points = "L".join(f"{x(epoch):g} {y(value):g}" for epoch, value in enumerate(curve, 1))
    end = f'<circle class="ring" cx="{x(len(curve)):g}" cy="{y(curve[-1]):g}" r="2">{tooltip(says)}</circle>'
    return Html(f'<path class="{css}" d="M{points}">{tooltip(says)}</path>{end}')


def _with_value(trials: Iterable[Row]) -> list[Row]:
    return [trial for trial in trials if trial["value"] is not None and math.isfinite(trial["value"])]


def _value_scale(drawn: Sequence[Row]) -> Scale:
    values = [trial["value"] for trial in drawn]
    return scale(values, _BOTTOM, _TOP, log=min(values) > 1e-150 and max(values) > 100 * min(values))


def _label(metric: str, y: Scale) -> str:
    return f"{metric}, log scale" if y.log else metric


def _dot(x: float, y: float, trial: Row, metric: str) -> Html:
    config = ", ".join(f"{key} {_shown(value)}" for key, value in trial["config"].items())
    says = tooltip(f"trial {trial['trial']}: {metric} {number(trial['value'])}; {config}")
    if trial["outcome"] == "complete":
        return Html(f'<circle class="dot s0" cx="{x:g}" cy="{y:g}" r="4">{says}</circle>')
    return Html(f'<circle class="ring" cx="{x:g}" cy="{y:g}" r="3.5">{says}</circle>')


def _shown(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
