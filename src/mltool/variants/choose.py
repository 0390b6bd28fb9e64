"""Which of the candidates that were tried is worth having."""

from __future__ import annotations

from collections.abc import Sequence

from mltool.runtimes.candidate import Tried

MIN_SPEEDUP = 1.1
"""How much faster a candidate must be than what it replaces: below it, the next measurement may say otherwise."""
MAX_SIZE_SHARE = 0.9
"""How much of the size it may have at the most, to be worth having for its size alone."""
_PRECISIONS = ("fp32", "bf16")
"""The simpler ones, which more exact answers speak for; every other comes after them."""


def fastest(tried: Sequence[Tried], min_speedup: float = MIN_SPEEDUP) -> Tried | None:
    """The fastest candidate that passed, unless a simpler precision is nearly as fast; None if none pays."""
    fitting = sorted((one for one in tried if _is_timed(one)), key=lambda one: (_simplicity(one), one.latency_ms))
    best: Tried | None = None
    for one in fitting:  # from the simplest precision on: each must beat what is simpler by the margin
        margin = 1.0 if best is not None and _simplicity(best) == _simplicity(one) else min_speedup
        to_beat = 1.0 if best is None else best.speedup or 1.0
        if (one.speedup or 0.0) >= (min_speedup if best is None else to_beat * margin):
            best = one
    return best


def pays(one: Tried, kept: Tried, min_speedup: float = MIN_SPEEDUP) -> bool:
    """Whether a variant is measurably faster, or smaller, than what it would replace."""
    is_smaller = (
        one.size_mib is not None and kept.size_mib is not None and one.size_mib <= MAX_SIZE_SHARE * kept.size_mib
    )
    return (one.speedup or 0.0) >= min_speedup or is_smaller


def _is_timed(one: Tried) -> bool:
    return one.outcome == "passed" and one.speedup is not None


def _simplicity(one: Tried) -> int:
    precision = one.candidate.precision
    return _PRECISIONS.index(precision) if precision in _PRECISIONS else len(_PRECISIONS)
