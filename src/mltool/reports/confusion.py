"""Which classes a classifier takes for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mltool.reports.markup import Html, join, number, percent, shorten, text_width
from mltool.reports.page import share_bar, table
from mltool.reports.svg import LETTER, figure, nothing_to_draw, text, tooltip

# Axes: C classes; rows are what a sample is, columns what it was taken for

MAX_CLASSES_DRAWN = 20
NUM_PAIRS = 15
MAX_TINT = 0.53
"""Opacity of the strongest cell; numbers stay readable on it in both themes."""


def confusion_matrix_plot(matrix_CC: ArrayLike, classes: Sequence[str], *, title: str = "Confusion matrix") -> Html:
    """The counts with recall and precision at the edges; above 20 classes the most confused pairs and weakest classes.

    Raises:
        ValueError: `matrix_CC` is not square with one row a class.
    """
    matrix = np.nan_to_num(np.asarray(matrix_CC, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"a confusion matrix of shape {matrix.shape} does not fit {len(classes)} classes")
    if not matrix.any():
        return nothing_to_draw(title)
    if len(classes) > MAX_CLASSES_DRAWN:
        return Html(f'<div class="tables">{_confused_pairs(matrix, classes)}{_weakest_classes(matrix, classes)}</div>')
    return _heat_map(matrix, classes, title)


def _heat_map(matrix: NDArray[np.float64], classes: Sequence[str], title: str) -> Html:
    names = [shorten(name, 16) for name in classes]
    longest = LETTER * max(map(text_width, names))
    cell = 40 if len(classes) <= 12 else 34
    slanted = longest > cell - 4
    left = max(longest, LETTER * len("precision")) + 22
    top = 34 + (longest * 0.72 + 10 if slanted else 14)
    side = cell * len(classes)
    recall, precision = _share(matrix.diagonal(), matrix.sum(1)), _share(matrix.diagonal(), matrix.sum(0))
    shares = _share(matrix, matrix.sum(1, keepdims=True))
    body = [
        text(left, 12, "predicted →", css="label"),
        text(0, top - 8, "actual ↓", css="label"),
        text(left + side + 58, top - 8, "recall", css="label", anchor="end"),
        text(left - 10, top + side + 24, "precision", css="label", anchor="end"),
    ]
    for index, name in enumerate(names):
        x, y = left + index * cell + cell / 2, top + index * cell + cell / 2 + 4
        turn = f' transform="rotate(-45 {x - 2:g} {top - 8:g})"' if slanted else ""
        place = (x - 2, "start") if slanted else (x, "middle")
        body.append(text(place[0], top - 8, name, css="ink", anchor=place[1], extra=turn))
        body.append(text(left - 10, y, name, css="ink", anchor="end"))
        body.append(text(left + side + 58, y, percent(recall[index]), anchor="end"))
        body.append(text(x, top + side + 24, _bare_percent(precision[index]), anchor="middle"))
    for row, actual in enumerate(classes):
        body += [
            _cell(left + column * cell, top + row * cell, cell, matrix[row, column], shares[row, column], row == column,
                  f"{number(int(matrix[row, column]))} of actual {actual} predicted as {predicted} "
                  f"({percent(shares[row, column])})")
            for column, predicted in enumerate(classes)
        ]  # fmt: skip
    right = left + side + 66 + (longest * 0.72 if slanted else 0) * (longest > 90)
    return figure(right, top + side + 34, title, body, note="Tinted by the share of each row", wide=len(classes) > 8)


def _cell(x: float, y: float, cell: float, count: float, share: float, hit: bool, says: str) -> Html:
    # The tint of errors starts visible and grows slowly, so that one mistake in a hundred is still seen.
    share = 0.0 if np.isnan(share) else share
    tint = 0.1 + (MAX_TINT - 0.1) * (share if hit else share**0.5)
    css = "hit" if hit else "miss"
    box = f'x="{x + 1:g}" y="{y + 1:g}" width="{cell - 2:g}" height="{cell - 2:g}" rx="2"'
    if count == 0:
        return Html(f'<rect class="none" {box}>{tooltip(says)}</rect>')
    label = text(x + cell / 2, y + cell / 2 + 4, _compact(count), css="ink", anchor="middle")
    return join(
        [
            Html("<g>"),
            tooltip(says),
            Html(f'<rect class="{css}" fill-opacity="{tint:.2f}" {box}/>'),
            label,
            Html("</g>"),
        ]
    )


def _confused_pairs(matrix: NDArray[np.float64], classes: Sequence[str]) -> Html:
    errors = matrix - np.diag(matrix.diagonal())
    shares = _share(matrix, matrix.sum(1, keepdims=True))
    order = [divmod(int(i), len(classes)) for i in np.argsort(-errors, axis=None, kind="stable")[:NUM_PAIRS]]
    rows = [(classes[a], classes[p], int(errors[a, p]), share_bar(shares[a, p])) for a, p in order if errors[a, p] > 0]
    header = ("actual", "predicted as", "samples", "share of actual")
    return Html(f"<div><h3>Most confused</h3>{table(header, rows, label='Most confused classes')}</div>")


def _weakest_classes(matrix: NDArray[np.float64], classes: Sequence[str]) -> Html:
    recall = _share(matrix.diagonal(), matrix.sum(1))
    order = [int(i) for i in np.argsort(recall, kind="stable") if not np.isnan(recall[i])][:NUM_PAIRS]
    rows = [(classes[i], int(matrix[i].sum()), share_bar(recall[i])) for i in order]
    return Html(f"<div><h3>Least recognised</h3>{table(('class', 'samples', 'recall'), rows)}</div>")


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there is nothing to take a share of."""
    shares: NDArray[np.float64] = np.divide(
        part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0
    )
    return shares


def _bare_percent(share: float) -> str:
    return percent(share)[:-2]  # a column is too narrow for the sign


def _compact(count: float) -> str:
    if count < 10_000:
        return f"{count:.0f}"
    return f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
