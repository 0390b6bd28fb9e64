"""How long calls take, side by side: they take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Call = Callable[[], object]
Key = TypeVar("Key", bound=Hashable)

ROUNDS = 7
ROUND_S = 0.08
"""Seconds that each call is repeated for in a round."""
_WARM_UP_CALLS = 3


def take_turns(calls: Mapping[Key, Call], *, rounds: int = ROUNDS, round_s: float = ROUND_S) -> dict[Key, list[float]]:
    """Milliseconds a call by key, one mean a round; in every round each of the calls has its turn."""
    repeats = {name: _repeats(call, round_s) for name, call in calls.items()}
    means: dict[Key, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            means[name].append((time.perf_counter() - started) * 1000 / repeats[name])
    return means


def speedup(before_ms: list[float], after_ms: list[float]) -> float:
    """How many times as fast, as the median over rounds: the load of a round cancels out in its ratio."""
    return statistics.median(before / after for before, after in zip(before_ms, after_ms, strict=True))


def _repeats(call: Call, round_s: float) -> int:
    for _ in range(_WARM_UP_CALLS):
        call()
    started = time.perf_counter()
    call()
    return max(1, round(round_s / max(1e-7, time.perf_counter() - started)))
