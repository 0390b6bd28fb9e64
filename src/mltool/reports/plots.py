"""Plots of points and lines, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mltool.reports.markup import Html, join, number, percent, shorten, text_width
from mltool.reports.svg import LETTER, NUM_COLOURS, Scale, axes, figure, nothing_to_draw, scale, text, tooltip

# Axes: N samples

MAX_LINES = 8
MAX_POINTS_OF_A_LINE = 400
MAX_SCATTERED = 2000
WIDTH, HEIGHT = 460, 280
_TOP, _BOTTOM, _LEFT = 38, HEIGHT - 44, 60

Point = tuple[float, float]


def line_chart(
    series: Mapping[str, Sequence[Point]],
    x_label: str,
    y_label: str,
    mark_x: float | None = None,
    *,
    mark_label: str = "best",
    log: bool | None = None,
    x_ticks: Sequence[float] = (),
    title: str = "",
) -> Html:
    """Lines named at their right end. A point that is not finite leaves a gap.

    Long lines keep the extremes of each stretch.

    Args:
        series: The first is drawn in the accent colour.
        mark_x: Where to draw a vertical rule, named `mark_label`.
        log: Whether the vertical axis is logarithmic, which it then says; by default where positive values span more
            than two decades.
        x_ticks: The positive values that the horizontal axis, which is then logarithmic, is to name.
    """
    title = title or f"{y_label} over {x_label}"
    lines = {name: [(float(x), float(y)) for x, y in points if math.isfinite(x)] for name, points in series.items()}
    lines = {name: points for name, points in lines.items() if any(math.isfinite(y) for _, y in points)}
    if not lines:
        return nothing_to_draw(title)
    shown = {name: _thinned(points) for name, points in list(lines.items())[:MAX_LINES]}
    values = [y for points in shown.values() for _, y in points if math.isfinite(y)]
    spans_decades = min(values) > 1e-150 and 100 * min(values) < max(values) < 1e150
    log = spans_decades if log is None else log
    longest = max(text_width(shorten(name, 18)) for name in shown)
    xs = [x for points in shown.values() for x, _ in points]
    x = _tight(scale(xs, _LEFT, WIDTH - 14 - 1.08 * LETTER * longest, log=bool(x_ticks)), shown)
    x = replace(x, marks=tuple(x_ticks))
    y = scale(values, _BOTTOM, _TOP, log=log)
    body = [axes(x, y, x_label, f"{y_label}, log scale" if log else y_label)]
    if mark_x is not None and x.low <= mark_x <= x.high:
        body.append(Html(f'<path class="mark" d="M{x(mark_x):g} {_TOP - 4}V{_BOTTOM}"/>'))
        body.append(text(x(mark_x), _TOP - 9, mark_label, css="label", anchor="middle"))
    for index, (name, points) in enumerate(shown.items()):
        body.append(_line(index, name, points, x, y, x_label))
    body.append(_end_labels(shown, x, y))
    note = f"The first {MAX_LINES} of {len(lines)} lines" if len(lines) > MAX_LINES else ""
    return figure(WIDTH, HEIGHT, title, body, note=note)


def _tight(x: Scale, shown: Mapping[str, Sequence[Point]]) -> Scale:
    """Time runs from the first point to the last: no empty step at either end."""
    xs = [max(x.low, min(x.high, point[0])) for points in shown.values() for point in points]
    return replace(x, low=min(xs), high=max(xs)) if max(xs) - min(xs) > 1e-6 * (x.high - x.low) else x


def _thinned(points: list[Point]) -> list[Point]:
    if len(points) <= MAX_POINTS_OF_A_LINE:
        return points
    kept = {0, len(points) - 1}
    for stretch in np.array_split(np.arange(len(points)), MAX_POINTS_OF_A_LINE // 2 - 1):
        heights = np.array([points[index][1] for index in stretch])
        if np.isnan(heights).any():
            kept.add(int(stretch[np.isnan(heights).argmax()]))
        if not np.isnan(heights).all():
            kept |= {int(stretch[np.nanargmin(heights)]), int(stretch[np.nanargmax(heights)])}
    return [points[index] for index in sorted(kept)]


def _line(index: int, name: str, points: Sequence[Point], x: Scale, y: Scale, x_label: str) -> Html:
    path, pen = "", "M"
    for px, py in points:
        path += f"{pen}{x(px):g} {y(py):g}" if math.isfinite(py) else ""
        pen = "L" if math.isfinite(py) else "M"
    dots = [
        Html(f'<circle cx="{x(px):g}" cy="{y(py):g}" r="{3 if len(points) <= 40 else 5}">')
        + tooltip(f"{name}: {number(py)} at {x_label} {number(int(px) if px == int(px) else px)}")
        + "</circle>"
        for px, py in points
        if math.isfinite(py)
    ]
    css = "dots" if len(points) <= 40 else "dots hidden"
    colour = index % NUM_COLOURS
    dash = f"d{index % 3}"
    return Html(f'<g class="s{colour}"><path class="line {dash}" d="{path}"/><g class="{css}">{"".join(dots)}</g></g>')


def _end_labels(shown: Mapping[str, Sequence[Point]], x: Scale, y: Scale) -> Html:
    """Names beside the last points, moved apart where they would cover each other."""
    ends = {name: y(next(py for _, py in reversed(points) if math.isfinite(py))) for name, points in shown.items()}
    order = sorted(ends, key=lambda name: ends[name])
    places: dict[str, float] = {}
    previous = -math.inf
    for name in order:
        places[name] = previous = max(ends[name] + 4, previous + 15)
    ceiling = _BOTTOM + 4.0
    for name in reversed(order):
        places[name] = min(places[name], ceiling)
        ceiling = places[name] - 15
    return join(
        text(x.end + 9, places[name], shorten(name, 18), css=f"name s{index % NUM_COLOURS}")
        for index, name in enumerate(shown)
    )


def scatter_plot(prediction_N: ArrayLike, target_N: ArrayLike, *, label: str = "value", title: str = "") -> Html:
    """Predictions against targets, with the line where both agree; the ten largest errors stand out.

    Of more than 2000 samples an even random 2000 and the largest errors are drawn, and the caption says so.
    """
    title = title or f"Predicted against actual {label}"
    prediction, target = _flat(prediction_N), _flat(target_N)
    if prediction.shape != target.shape:
        raise ValueError(f"{prediction.size} predictions do not fit {target.size} targets")
    usable = np.isfinite(prediction) & np.isfinite(target)
    prediction, target = prediction[usable], target[usable]
    if not prediction.size:
        return nothing_to_draw(title)
    worst = np.argsort(-np.abs(prediction / 2 - target / 2), kind="stable")[:10]
    rest = np.setdiff1d(np.arange(prediction.size), worst)
    drawn = rest if rest.size <= MAX_SCATTERED - 10 else _sample(rest, MAX_SCATTERED - 10)
    both = [*prediction.tolist(), *target.tolist()]
    size = WIDTH - 60
    x, y = scale(both, _LEFT, size), scale(both, size - _LEFT + 30, 30)
    dots = "".join(f"M{x(target[i]):g} {y(prediction[i]):g}h0" for i in drawn)
    circles = [_circle(x(target[i]), y(prediction[i]), prediction[i], target[i]) for i in worst]
    diagonal = Html(f'<path class="mark" d="M{x.start:g} {y.start:g}L{x.end:g} {y.end:g}"/>')
    body = [axes(x, y, f"actual {label}", f"predicted {label}"), diagonal, Html(f'<path class="cloud" d="{dots}"/>')]
    notes = [f"{number(prediction.size)} samples; circles are the largest errors"]
    if drawn.size < rest.size:
        notes = [f"{number(drawn.size + worst.size)} of {number(prediction.size)} samples; circles: largest errors"]
    if not usable.all():
        notes.append(f"{number(int((~usable).sum()))} are not finite and not drawn")
    return figure(WIDTH - 30, y.start + 44, title, [*body, *circles], note="; ".join(notes))


def _circle(x: float, y: float, prediction: float, target: float) -> Html:
    says = tooltip(f"predicted {number(prediction)}, actual {number(target)}")
    return Html(f'<circle class="worst" cx="{x:g}" cy="{y:g}" r="3.5">{says}</circle>')


def reliability_plot(curve: Sequence[Mapping[str, Any]], *, title: str = "Reliability") -> Html:
    """Accuracy against confidence, with the share of samples in each bin below.

    Args:
        curve: Bins with `low`, `high`, `confidence`, `accuracy` (fractions of 1) and `num_samples`.
    """
    bins = [b for b in curve if all(_is_share(b.get(key)) for key in ("low", "high", "confidence", "accuracy"))]
    bins = [b for b in bins if b.get("num_samples", 0) > 0]
    if not bins:
        return nothing_to_draw(title)
    total = sum(b["num_samples"] for b in bins)
    x, y = Scale(0, 1, _LEFT, 400, step=0.25), Scale(0, 1, 300, 30, step=0.25)
    strip_top, strip_bottom = 364, 404
    body: list[Html] = [axes(x, y, "confidence", "accuracy")]
    body.append(Html(f'<path class="mark" d="M{x(0):g} {y(0):g}L{x(1):g} {y(1):g}"/>'))
    tallest = max(b["num_samples"] for b in bins)
    for b in bins:
        share = percent(b["num_samples"] / total)
        says = tooltip(
            f"confidence {number(b['confidence'])}, accuracy {number(b['accuracy'])}: "
            f"{number(b['num_samples'])} samples ({share})"
        )
        px, py = x(b["confidence"]), y(b["accuracy"])
        height = max(1.0, (strip_bottom - strip_top) * b["num_samples"] / tallest)
        left, width = x(b["low"]), max(1.0, x(b["high"]) - x(b["low"]) - 1)
        body.append(Html(f'<path class="gap" d="M{px:g} {py:g}V{y(b["confidence"]):g}"/>'))
        body.append(Html(f'<circle class="s0 dot" cx="{px:g}" cy="{py:g}" r="4">{says}</circle>'))
        bar = f'x="{left:g}" y="{strip_bottom - height:.1f}" width="{width:.1f}" height="{height:.1f}"'
        body.append(Html(f'<rect class="bar" {bar}>{says}</rect>'))
    body.append(Html(f'<path class="axis" d="M{x.start:g} {strip_bottom}H{x.end:g}"/>'))
    body.append(text(0, strip_top - 10, "samples", css="label"))
    return figure(420, strip_bottom + 8, title, body, note="On the dashed line, confidence is as good as its word")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(0 <= value <= 1)


def _flat(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _sample(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    return np.random.default_rng(0).choice(indices, count, replace=False)
