"""How small a shift a test can still see."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mltool.statistics.indicators import NUM_LEVELS

# Axes: S shifts, L levels at which a column is cut

_SHIFTS_SD = np.geomspace(0.02, 20, 140)

Floats = NDArray[np.float64]


def smallest_shift(num_reference: int, num_window: int, critical: float, floor: float) -> float | None:
    """The shift of a bell-shaped column, in its standard deviations, that is noticed about four times in five.

    With it the best single cut is expected to just reach `critical`, which it does every second time. Its neighbours
    and the other heads do the rest: with 1 to 60 columns and windows of 10 to 400 rows, 68% to 97% were noticed.

    Args:
        critical: What a difference of two shares must exceed, in standard deviations.
        floor: As in `Assignments.differences`.

    Returns:
        None if no shift is large enough.
    """
    reference_L, window_SL = _cdfs()
    n, m = num_reference, num_window
    pooled_SL = (n * reference_L + m * window_SL) / (n + m)
    sd_SL = np.sqrt(np.maximum(pooled_SL * (1 - pooled_SL), floor**2 / 4) * (1 / n + 1 / m))
    is_seen_S = (np.abs(reference_L - window_SL) / sd_SL).max(axis=1) > critical
    return float(_SHIFTS_SD[is_seen_S.argmax()]) if is_seen_S.any() else None


@cache
def _cdfs() -> tuple[Floats, Floats]:
    """Shares at or below each cut, before [L] and after each shift [S, L]."""
    bell = NormalDist()
    cuts = [bell.inv_cdf(level / (NUM_LEVELS + 1)) for level in range(1, NUM_LEVELS + 1)]
    before = np.array([bell.cdf(cut) for cut in cuts])
    return before, np.array([[bell.cdf(cut - shift) for cut in cuts] for shift in _SHIFTS_SD.tolist()])
