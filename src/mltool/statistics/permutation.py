"""Whether two samples differ, judged by drawing anew which rows belong to which.

If the rows are exchangeable, every assignment of rows to the two samples was as likely as the one that was observed.
So a statistic that is large among those of random assignments is evidence, whatever the distribution, however much the
columns depend on each other, and however many ties they have. One set of assignments serves all columns and all heads,
and the observed one is among them, which makes the p-values valid: `P(p <= alpha) <= alpha` for every alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Axes: A assignments (place 0 is the observed one), N pooled rows, K indicators

Floats = NDArray[np.float32]

_TIE = 1 - 1e-5
"""Statistics that differ by rounding alone count as equal, which errs on the side of no alarm."""


@dataclass(frozen=True, slots=True, eq=False)
class Assignments:
    """Which of the pooled rows are in the window: first the observed choice, the last rows, then random ones."""

    in_window_AN: Floats
    """1 for the rows of the window, 0 for those of the reference."""
    num_reference: int
    num_window: int

    @classmethod
    @lru_cache(maxsize=2)  # drawing takes as long as testing, and many windows are of one size
    def draw(cls, num_reference: int, num_window: int, num_drawn: int, seed: int) -> Assignments:
        num_rows = num_reference + num_window
        in_window_AN = np.zeros((num_drawn + 1, num_rows), np.float32)
        in_window_AN[0, num_reference:] = 1
        keys_AN = np.random.default_rng(seed).random((num_drawn, num_rows), dtype=np.float32)
        chosen = np.argpartition(keys_AN, num_window - 1, axis=1)[:, :num_window]
        np.put_along_axis(in_window_AN[1:], chosen, np.float32(1), axis=1)
        in_window_AN.flags.writeable = False
        return cls(in_window_AN, num_reference, num_window)

    def differences(self, indicators_KN: Floats, floor: float) -> Floats:
        """How far the shares of ones in the two samples are apart, in standard deviations [A, K].

        Args:
            floor: Smallest standard deviation that is believed, as a share of that of a fair coin. The share of a rare
                event is so coarse that its extremes would drown those of all other indicators.
        """
        n, m = self.num_reference, self.num_window
        unit = 1 / n + 1 / m
        # Sums of zeros and ones are exact in float32, so that equal counts give equal statistics.
        result_AK: Floats = self.in_window_AN @ indicators_KN.T
        total_K = indicators_KN.sum(axis=1, dtype=np.float64)
        share_K = total_K / (n + m)
        sd_K = np.sqrt(np.maximum(share_K * (1 - share_K), floor**2 / 4) * unit)
        result_AK *= np.float32(unit)
        result_AK -= (total_K / n).astype(np.float32)
        result_AK *= (1 / sd_K).astype(np.float32)
        return np.abs(result_AK, out=result_AK)


def p_values(values: NDArray[np.floating], drawn_A: NDArray[np.floating]) -> NDArray[np.float64]:
    """For each value the share of `drawn_A` that is at least as large; the observed statistic is one of `drawn_A`."""
    ordered = np.sort(drawn_A)
    num_below = np.searchsorted(ordered, np.asarray(values) * _TIE, side="left")
    return (len(ordered) - num_below) / len(ordered)


class Decision:
    """Several statistics and the one decision that they lead to.

    The smallest of the heads' p-values is itself a statistic: what it means is read off the same assignments. Compared
    with Bonferroni nothing is lost where heads see the same thing, and a head that can see nothing costs nothing.
    """

    def __init__(self, heads: Mapping[str, Floats]) -> None:
        """Take the statistics of each head [A]."""
        self._heads = heads
        self._alone = {name: p_values(drawn_A, drawn_A) for name, drawn_A in heads.items()}
        self._smallest_A = np.sort(np.min(list(self._alone.values()), axis=0))

    @property
    def p_value(self) -> float:
        return float(self._joint(np.array([min(p_A[0] for p_A in self._alone.values())]))[0])

    def head_p_values(self) -> dict[str, float]:
        """Of each head as if it were the only one."""
        return {name: float(p_A[0]) for name, p_A in self._alone.items()}

    def adjusted(self, head: str, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """p-values of statistics that `head` is the largest of, valid for all of them and all other heads together."""
        return self._joint(p_values(values, self._heads[head]))

    def critical(self, head: str, alpha: float) -> float:
        """What the statistic of `head` must exceed for an alarm."""
        num_assignments = len(self._smallest_A)
        first_refused = self._smallest_A[min(int(alpha * num_assignments + 1e-9), num_assignments - 1)]
        # Whatever fewer assignments reach than `first_refused` says is an alarm.
        return float(np.sort(self._heads[head])[num_assignments - round(first_refused * num_assignments)])

    def _joint(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """How often the smallest of all heads is as small as `p`."""
        num_up_to = np.searchsorted(self._smallest_A, p + 1e-9, side="right")
        joint: NDArray[np.float64] = num_up_to / len(self._smallest_A)
        return joint
