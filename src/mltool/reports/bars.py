"""Plots of counts and shares, as inline SVG: bars, histograms, and dots per group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from mltool.reports.markup import NOTHING, Html, join, number, percent, shorten, text_width
from mltool.reports.svg import LETTER, NUM_COLOURS, axes, figure, nothing_to_draw, scale, text, tooltip

# Axes: N values

WIDTH, HEIGHT, ROW = 460, 240, 24
_SHAPES = ("M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0", "M-4-4h8v8h-8z", "M0-5L5 4H-5z", "M0-6L6 0L0 6L-6 0z")


def histogram(values_N: ArrayLike, x_label: str, *, num_bins: int = 30, title: str = "") -> Html:
    """How often values occur; those that are not finite are counted in the caption."""
    values = np.asarray(values_N, dtype=np.float64).reshape(-1)
    finite = np.clip(values[np.isfinite(values)], -1e150, 1e150)
    lost = values.size - finite.size
    note = f"{number(lost)} of {number(values.size)} values are not finite and not drawn" if lost else ""
    if not finite.size:
        return nothing_to_draw(title or x_label)
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-290):
        margin = abs(low) / 2 if abs(low) > 1e-290 else 0.5
        low, high = low - margin, high + margin
    counts, edges = np.histogram(finite, bins=min(num_bins, max(5, math.ceil(2 * finite.size**0.5))), range=(low, high))
    return histogram_bars(edges.tolist(), counts.tolist(), x_label, title=title, note=note)


def histogram_bars(
    edges: Sequence[float], counts: Sequence[float], x_label: str, *, title: str = "", note: str = ""
) -> Html:
    """A histogram that was counted elsewhere; there is one more edge than there are counts."""
    title = title or f"Distribution of {x_label}"
    edges = [max(-1e150, min(1e150, edge)) for edge in edges]
    if not counts or not all(map(math.isfinite, edges)) or edges[-1] <= edges[0] or max(counts) <= 0:
        return nothing_to_draw(title)
    x, y = (
        replace(scale(edges, 60, WIDTH - 12), low=edges[0], high=edges[-1]),
        scale(counts, HEIGHT - 44, 30, zero=True),
    )
    body = [axes(x, y, x_label, "samples")]
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count > 0:
            box = f'x="{x(low) + 0.5:g}" y="{y(count):g}" width="{max(0.5, x(high) - x(low) - 1):.1f}"'
            says = tooltip(f"{number(low)} to {number(high)}: {number(count)}")
            body.append(Html(f'<rect class="bar" {box} height="{max(0.8, y.start - y(count)):.1f}">{says}</rect>'))
    return figure(WIDTH, HEIGHT, title, body, note=note)


def small_histogram(counts: Sequence[float], says: str) -> Html:
    """A histogram the size of a word, for a table; `says` is its text for people who cannot see it."""
    finite = [count if math.isfinite(count) else 0 for count in counts]
    if not finite or max(finite) <= 0:
        return Html('<span class="muted">' + NOTHING + "</span>")
    width, tallest = 120 / len(finite), max(finite)
    bar = max(0.6, width - 0.8)
    path = "".join(
        f"M{index * width:.1f} 24h{bar:.1f}v{-max(0.8, 22 * count / tallest):.1f}h{-bar:.1f}z"
        for index, count in enumerate(finite)
        if count > 0
    )
    return Html(
        f'<svg class="small" role="img" viewBox="0 0 120 25" width="120" height="25">{tooltip(says)}'
        f'<path class="bar" d="{path}"/><path class="axis" d="M0 24.5H120"/></svg>'
    )


def dot_plot(groups: Mapping[str, Mapping[str, float]], label: str, *, title: str = "", max_rows: int = 30) -> Html:
    """The share of each class in each group: one row a class, one shape a group; above `max_rows` the extremes.

    Args:
        groups: Counts by class, by group (a split). A class that a group does not name has no sample there.
    """
    title = title or label
    totals = {group: sum(counts.values()) for group, counts in groups.items()}
    shares = {g: {c: n / totals[g] for c, n in counts.items()} for g, counts in groups.items() if totals[g] > 0}
    names = list(dict.fromkeys(name for counts in shares.values() for name in counts))
    if not names:
        return nothing_to_draw(title)
    note = ""
    if len(names) > max_rows:
        by_size = sorted(names, key=lambda name: -sum(counts.get(name, 0) for counts in groups.values()))
        note = f"The {max_rows // 2} most frequent and the {max_rows // 2} rarest of {len(names)} classes"
        names = by_size[: max_rows // 2] + by_size[-(max_rows // 2) :]
    left = 14 + LETTER * max(text_width(shorten(name, 24)) for name in names)
    highest = max(counts.get(name, 0.0) for counts in shares.values() for name in names)
    x = scale([100 * highest], left, WIDTH - 24, zero=True)
    top, bottom = 52, 52 + ROW * len(names)
    body = [text(0, 12, label, css="label"), _legend(list(shares))]
    for position, tick in x.ticks():
        body.append(Html(f'<path class="grid" d="M{position:g} {top}V{bottom}"/>'))
        body.append(text(position, bottom + 16, f"{tick} %", anchor="middle"))
    for row, name in enumerate(names):
        y = top + row * ROW + ROW / 2
        places = [x(100 * counts.get(name, 0.0)) for counts in shares.values()]
        body.append(text(left - 10, y + 4, shorten(name, 24), css="ink", anchor="end"))
        body.append(Html(f'<path class="gap" d="M{min(places):g} {y:g}H{max(places):g}"/>'))
        for index, (group, counts) in enumerate(shares.items()):
            says = f"{name} in {group}: {number(groups[group].get(name, 0))} ({percent(counts.get(name, 0.0))})"
            body.append(_mark(index, places[index], y, says))
    return figure(WIDTH, bottom + 24, title, body, note=note)


def _legend(names: Sequence[str]) -> Html:
    parts, x = [], 6.0
    for index, name in enumerate(names):
        parts += [_mark(index, x, 30, name), text(x + 10, 34, shorten(name, 18), css="ink")]
        x += 28 + LETTER * text_width(shorten(name, 18))
    return join(parts)


def _mark(index: int, x: float, y: float, says: str) -> Html:
    shape, colour = _SHAPES[index % len(_SHAPES)], index % NUM_COLOURS
    return Html(f'<path class="dot s{colour}" transform="translate({x:.1f} {y:g})" d="{shape}">{tooltip(says)}</path>')
