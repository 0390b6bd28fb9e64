"""The learning rate as a function of the step, so that a resumed run needs no state for it."""

from __future__ import annotations

import math
from collections.abc import Callable


def learning_rate(peak: float, shape: str, *, num_steps: int, warmup: float) -> Callable[[int], float]:
    """The learning rate at each step, counted from 0.

    Args:
        shape: `cosine` or `linear` fall to 0 at the end; `constant` stays.
        warmup: Share of the steps over which it rises linearly, as a fraction of 1.
    """
    num_warmup = round(num_steps * warmup)

    def at(step: int) -> float:
        if step < num_warmup:
            return peak * (step + 1) / (num_warmup + 1)
        progress = (step - num_warmup) / max(1, num_steps - num_warmup)
        if shape == "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return peak * max(0.0, 1 - progress) if shape == "linear" else peak

    return at
