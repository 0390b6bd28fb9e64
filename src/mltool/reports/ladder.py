"""A robustness ladder as a picture: what each corruption costs in each severity, and when it would be noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from mltool.reports.confusion import MAX_TINT
from mltool.reports.markup import MINUS, Html, join, number, shorten, text_width
from mltool.reports.svg import LETTER, figure, nothing_to_draw, text, tooltip

Row = Mapping[str, Any]
CELL_WIDTH, CELL_HEIGHT = 74, 38
_MAX_NAME = 36
_LEAST_SHOWN = 0.005
"""Losses that are rounded to 0.00."""


def ladder_plot(ladder: Row, *, title: str = "") -> Html:
    """One row a corruption, one column a severity; what is silent and harmful has a frame."""
    title = title or f"{ladder['metric']} lost"
    groups = [(name, list(own)) for name, own in groupby(ladder["rungs"], key=rung_label)]
    if not groups:
        return nothing_to_draw(title)
    left = LETTER * max(text_width(shorten(name, _MAX_NAME)) for name, _ in groups) + 18
    top = 44
    num_severities = max(len(own) for _, own in groups)
    right = left + num_severities * CELL_WIDTH
    body = [text(left, 12, "severity →", css="label")]
    for index, rung in enumerate(groups[0][1]):
        body.append(text(left + (index + 0.5) * CELL_WIDTH, top - 12, rung["severity"], anchor="middle"))
    silent = {_key(rung) for rung in ladder["silent_and_harmful"]}
    for row, (name, own) in enumerate(groups):
        y = top + row * CELL_HEIGHT
        body.append(text(left - 12, y + CELL_HEIGHT / 2 + 4, shorten(name, _MAX_NAME), css="ink", anchor="end"))
        for column, rung in enumerate(own):
            body.append(_cell(left + column * CELL_WIDTH, y, rung, ladder, is_silent=_key(rung) in silent))
    note = f"{str(ladder['metric']).capitalize()} lost"
    if ladder["windows"]:
        note += ", and after how many requests drift would notice. What is silent and harmful has a frame"
    return figure(right + 4, top + len(groups) * CELL_HEIGHT + 6, title, body, note=note, wide=True)


def rung_label(rung: Row) -> str:
    words = str(rung["corruption"]).replace("_", " ")
    return f"{words}: {rung['column']}" if rung["column"] else words


def noticed(rung: Row, windows: Sequence[int]) -> str:
    """When `drift` would notice, in words."""
    if not windows:
        return ""
    after = rung["noticed_after"]
    return f"not within {windows[-1]:,} requests" if after is None else f"within {after:,} requests"


def change(lost: float) -> str:
    """A loss as a change of the metric."""
    if abs(lost) < _LEAST_SHOWN:
        return "0"
    size = f"{abs(lost):.2f}" if abs(lost) < 10 else "10 or more"
    return f"{MINUS if lost > 0 else '+'}{size}"


def _key(rung: Row) -> tuple[Any, ...]:
    return rung["corruption"], rung["column"], rung["severity"]


def _cell(x: float, y: float, rung: Row, ladder: Row, *, is_silent: bool) -> Html:
    clean, windows = float(ladder["clean"]), ladder["windows"]
    share = max(0.0, min(1.0, float(rung["lost"]) / clean)) if clean > 0 else 0.0
    box = f'x="{x + 1:g}" y="{y + 1:g}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" rx="2"'
    middle = x + CELL_WIDTH / 2
    says = f"{rung_label(rung)}, {rung['says']}: {ladder['metric']} {number(rung['value'])} instead of {number(clean)}"
    parts = [Html("<g>"), tooltip(", noticed ".join(filter(None, (says, noticed(rung, windows)))))]
    # Small losses are seen, too: the tint grows fast at first.
    tint = MAX_TINT * share**0.5
    parts.append(Html(f'<rect class="none" {box}/>'))
    if share > 0:
        parts.append(Html(f'<rect class="miss" fill-opacity="{tint:.2f}" {box}/>'))
    if is_silent:
        parts.append(Html(f'<rect class="silent" {box}/>'))
    lines = [change(float(rung["lost"]))]
    if windows:
        after = rung["noticed_after"]
        lines.append(f">{windows[-1]:,}" if after is None else f"{after:,}")
    first = y + CELL_HEIGHT / 2 + (4 if len(lines) == 1 else -3)
    parts.append(text(middle, first, lines[0], css="ink", anchor="middle"))
    parts += [text(middle, first + 15, line, css="ink", anchor="middle") for line in lines[1:]]
    return join([*parts, Html("</g>")])
