"""How long calls take, side by side: they take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

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


@dataclass(frozen=True, slots=True)
class Latency:
    """How long single calls took."""

    num_calls: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Latency:
        p50, p90, p99 = np.percentile(times_ms, (50, 90, 99)).tolist()
        return cls(len(times_ms), p50, p90, p99, statistics.fmean(times_ms))


def time_each_call(
    calls: Mapping[Key, Call], *, rounds: int = ROUNDS, round_s: float = ROUND_S
) -> Iterator[tuple[Key, list[float]]]:
    """Milliseconds of every single call, turn by turn; in every round each of the calls has its turn."""
    is_short = {name: _repeats(call, round_s) > 1 for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            if is_short[name]:
                call()  # does not count: the others have had the caches since
            yield name, _turn(call, round_s)


def speedup(before_ms: list[float], after_ms: list[float]) -> float:
    """How many times as fast, as the median over rounds: the load of a round cancels out in its ratio."""
    return statistics.median(before / after for before, after in zip(before_ms, after_ms, strict=True))


def _turn(call: Call, left_s: float) -> list[float]:
    times_ms: list[float] = []
    while not times_ms or left_s > 0:
        took_s = _seconds(call)
        left_s -= took_s
        times_ms.append(took_s * 1000)
    return times_ms


def _repeats(call: Call, round_s: float) -> int:
    for _ in range(_WARM_UP_CALLS):
        call()
    return max(1, round(round_s / max(1e-7, _seconds(call))))


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
