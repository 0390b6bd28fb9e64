"""After how many requests `drift` would notice that something is wrong with them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.statistics.drift import Detector
from mltool.statistics.reference import Reference

# Axes: N rows, M rows of a window

Arrays = Mapping[str, npt.NDArray[Any]]
POWER = 0.8
"""The share of windows in which there must be an alarm."""


@dataclass(frozen=True, slots=True, eq=False)
class _Redraw:
    """The same rows, dealt out anew: some of them are the reference, and windows are cut from the others."""

    detector: Detector
    others_N: npt.NDArray[np.int64]


class Watch:
    """Asks the detector about windows of several sizes, with other rows in the window and in the reference each time.

    If the reference stayed the same, its luck would be that of every window: a reference that differs a little from
    all other rows raises alarms that no damage explains. Dealt out anew, undamaged windows alarm as often as promised.
    All corruptions are seen in the same windows, so that they differ by what they do.

    Args:
        reference: The rows, without damage, that windows and references are drawn from; they must be exchangeable.
        num_kept: How many of them make a reference.
        sizes: Of the windows; those that are too large for the rest of the rows are left out.
    """

    def __init__(
        self, reference: Reference, num_kept: int, sizes: Sequence[int], *, redraws: int, alpha: float, seed: int
    ) -> None:
        num_rows = len(next(iter(reference.rows.values())))
        self.sizes = tuple(sorted({size for size in sizes if size <= num_rows - num_kept}))
        self._alpha, self._needed = alpha, math.ceil(POWER * redraws)
        random = np.random.default_rng([seed, 1])
        deals = [random.permutation(num_rows) for _ in range(redraws if self.sizes else 0)]
        self._redraws = [_Redraw(_detector(reference, deal[:num_kept]), deal[num_kept:]) for deal in deals]

    def false_alarms(self, inputs: Arrays, outputs: Arrays) -> float:
        """The share of the largest windows in which there is an alarm."""
        alarms = [self._alarm(inputs, outputs, self.sizes[-1], index) for index in range(len(self._redraws))]
        return sum(alarms) / len(alarms)

    def first(self, inputs: Arrays, outputs: Arrays, at_least: int | None) -> int | None:
        """The smallest size of a window that shows what is wrong with these rows; None if none does.

        Args:
            inputs: Row by row the damaged twins of the rows of the reference.
            outputs: What the model answers to them.
            at_least: The size that a worse corruption of the same kind needs, or 0; None if none shows even that.
        """
        sizes = [] if at_least is None else [size for size in self.sizes if size >= at_least]
        return next((size for size in sizes if self._shows(inputs, outputs, size)), None)

    def _shows(self, inputs: Arrays, outputs: Arrays, size: int) -> bool:
        """Whether enough windows of this size raise an alarm; asks no more of them than it needs to know that."""
        num_alarms = 0
        for index in range(len(self._redraws)):
            num_alarms += self._alarm(inputs, outputs, size, index)
            if num_alarms == self._needed:
                return True
            if num_alarms + len(self._redraws) - index - 1 < self._needed:
                return False
        return False

    def _alarm(self, inputs: Arrays, outputs: Arrays, size: int, index: int) -> bool:
        redraw = self._redraws[index]
        rows_M = redraw.others_N[:size]
        own = [{name: array[rows_M] for name, array in arrays.items()} for arrays in (inputs, outputs)]
        return redraw.detector.notices(own[0], own[1], alpha=self._alpha, seed=index)


def _detector(reference: Reference, rows_N: npt.NDArray[np.int64]) -> Detector:
    rows = {name: array[rows_N] for name, array in reference.rows.items()}
    outputs = {name: array[rows_N] for name, array in reference.outputs.items()}
    return Detector.of(dataclasses.replace(reference, rows=rows, outputs=outputs))
