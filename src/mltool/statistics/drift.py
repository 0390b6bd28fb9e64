"""Whether a window of requests still looks like the data that a model was made with: one decision, with its error rate.

What is tested is exchangeability: that rows of the window and held-out rows of the reference could have changed places.
It fails when the distribution moved, which is what one wants to know. It also fails when the rows of a window belong
together, as the frames of one film or the many requests of one client do. Such an alarm is true of that window, but may
say nothing about the next; a time-ordered log is best looked at in windows that are long compared with such episodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.distances import Distances
from mltool.statistics.evidence import FLOOR, Evidence
from mltool.statistics.permutation import Assignments
from mltool.statistics.reference import Reference
from mltool.statistics.sensitivity import smallest_shift
from mltool.statistics.watched import Arrays, Kind, Part, parts_of
from mltool.statistics.window import Remembered, Window, draw_rows, remembered

# Axes: N rows, J columns

MIN_REFERENCE_ROWS = 20
_LEAST_REFERENCE_ROWS = 1_000
_LEAST_DRAWN = 399
_ROUGHLY_DRAWN = 99

Columns = list[NDArray[Any]]
"""One array [J, N] for each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        p_value: Adjusted for all columns and heads together: of all the columns that did not change, any is called
            drifted with a probability of at most `alpha`.
        distances: How far it moved, from the training data where that was sketched, else from the held-out rows.
    """

    name: str
    kind: Kind
    p_value: float
    is_drifted: bool
    distances: Distances

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "drifted": self.is_drifted,
            "p_value": self.p_value,
            **asdict(self.distances),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was found out about one window.

    Attributes:
        p_value: Of the one decision over all heads; it is an alarm if it is at most `alpha`.
        heads: The p-value that each head would have had alone: `columns` (the one that differs most), `spread` (all
            columns a little), `missing` (values that are missing or unknown), `classes` (how often each is predicted).
        columns: Those that drifted come first, and then the one that moved furthest.
        num_tested_rows: As many of the `num_rows` of the window were tested.
        smallest_shift_sd: The shift of one column that is noticed about four times in five, in standard deviations of
            a bell-shaped column; None if none is.
        not_tested: Inputs and outputs of the reference that the window does not have.
    """

    alarm: bool
    alpha: float
    p_value: float
    heads: Mapping[str, float]
    columns: tuple[Column, ...]
    num_rows: int
    num_tested_rows: int
    num_reference_rows: int
    smallest_shift_sd: float | None
    not_tested: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "alarm": self.alarm,
            "alpha": self.alpha,
            "p_value": self.p_value,
            "num_rows": self.num_rows,
            "num_tested_rows": self.num_tested_rows,
            "num_reference_rows": self.num_reference_rows,
            "smallest_shift_sd": self.smallest_shift_sd,
            "not_tested": list(self.not_tested),
            "heads": dict(self.heads),
            "columns": [column.to_json() for column in self.columns],
        }


class Detector:
    """A reference, prepared once to be compared with any number of windows."""

    def __init__(self, parts: Sequence[Part], values: Columns, reference: Reference) -> None:
        self._parts, self._values, self._reference = parts, values, reference

    @cached_property
    def _remembered(self) -> list[list[Remembered]]:
        """What distances are measured from; a power curve needs none."""
        return [remembered(part, own, self._reference) for part, own in zip(self._parts, self._values, strict=True)]

    @classmethod
    def of(cls, reference: Reference, classes: Sequence[str] = ()) -> Detector:
        """Prepare a reference.

        Args:
            classes: Names of the classes, for the columns of their probabilities.

        Raises:
            ValueError: It keeps fewer than `MIN_REFERENCE_ROWS` rows.
        """
        parts = parts_of(reference, classes)
        values = [part.take((reference.outputs if part.is_output else reference.rows)[part.array]) for part in parts]
        num_rows = values[0].shape[1] if values else 0
        if num_rows < MIN_REFERENCE_ROWS:
            raise ValueError(f"the reference keeps {num_rows} rows, but at least {MIN_REFERENCE_ROWS} are needed")
        return cls(parts, values, reference)

    def check(self, inputs: Arrays, outputs: Arrays, *, alpha: float = 0.05, seed: int = 0) -> Drift:
        """Compare a window with the reference.

        Args:
            inputs: Arrays by input name, as the model takes them; one that was not recorded may be left out.
            outputs: What the model answered, row by row.
            alpha: Probability of an alarm when nothing has changed.
            seed: Of the drawn rows and assignments.

        Raises:
            ValueError: There are fewer than `MIN_WINDOW_ROWS` rows, the arrays differ in length, or in shape from those
                of the reference, nothing is left to compare, or `alpha` is not in `(0, 1)`.
        """
        window = Window(self._parts, inputs, outputs, seed)
        evidence = self._evidence(window, alpha, seed)
        decision = evidence.decision()
        distances = [
            distance
            for place, part, array in window.arrays
            for distance in window.distances(part, array, self._remembered[place])
        ]
        names = [(name, part.kind) for _, part, _ in window.arrays for name in part.names]
        found = [
            Column(name=name, kind=kind, p_value=p, is_drifted=p <= alpha, distances=distance)
            for (name, kind), p, distance in zip(names, evidence.adjusted(decision).tolist(), distances, strict=True)
        ]
        num_tested, num_kept = evidence.assignments.num_window, evidence.assignments.num_reference
        return Drift(
            alarm=decision.p_value <= alpha,
            alpha=alpha,
            p_value=decision.p_value,
            heads=decision.head_p_values(),
            columns=tuple(
                sorted(
                    found,
                    key=lambda column: (
                        not column.is_drifted,
                        -column.distances.js,
                        -(column.distances.wasserstein_sd or 0.0),
                    ),
                )
            ),
            num_rows=window.num_rows,
            num_tested_rows=num_tested,
            num_reference_rows=num_kept,
            smallest_shift_sd=smallest_shift(num_kept, num_tested, decision.critical("columns", alpha), FLOOR),
            not_tested=window.not_tested,
        )

    def notices(self, inputs: Arrays, outputs: Arrays, *, alpha: float = 0.05, seed: int = 0) -> bool:
        """Whether `check` would raise an alarm; in less than half the time, for power curves."""
        window = Window(self._parts, inputs, outputs, seed)
        # Far from the limit, fewer assignments tell as well.
        rough = self._evidence(window, alpha, seed, max(_ROUGHLY_DRAWN, math.ceil(3 / alpha))).decision().p_value
        if rough <= alpha / 3 or rough > 3 * alpha:
            return rough <= alpha
        return self._evidence(window, alpha, seed).decision().p_value <= alpha

    def _evidence(self, window: Window, alpha: float, seed: int, num_drawn: int | None = None) -> Evidence:
        if not 0 < alpha < 1:
            raise ValueError(f"`alpha` is `{alpha}`, but must be between 0 and 1")
        num_tested, num_reference = len(window.tested), self._values[0].shape[1]
        # Beyond five times the window a larger reference gains next to nothing.
        kept = draw_rows(num_reference, max(_LEAST_REFERENCE_ROWS, 5 * num_tested), np.random.default_rng([seed, 2]))
        num_drawn = num_drawn or max(_LEAST_DRAWN, math.ceil(5 / alpha) - 1)
        evidence = Evidence(Assignments.draw(len(kept), num_tested, num_drawn, seed))
        for place, part, array in window.arrays:
            evidence.add(part, _pooled(self._values[place], kept, part.take(array[window.tested])))
        return evidence


def _pooled(reference_JN: NDArray[Any], kept: NDArray[np.int64], window_JN: NDArray[Any]) -> NDArray[Any]:
    own_JN = reference_JN if len(kept) == reference_JN.shape[1] else reference_JN[:, kept]
    return np.concatenate([own_JN, window_JN], axis=1)
