from __future__ import annotations

import time
from itertools import groupby, pairwise

import pytest

from mltool.runtimes.timing import Latency, speedup, take_turns, time_each_call


def test_calls_take_turns() -> None:
    order: list[str] = []

    def call(name: str, milliseconds: float) -> object:
        def made() -> None:
            order.append(name)
            time.sleep(milliseconds / 1000)

        return made

    turns = take_turns({"slow": call("slow", 4), "fast": call("fast", 1)}, rounds=3, round_s=0.01)  # type: ignore[dict-item]
    assert {name: len(means) for name, means in turns.items()} == {"slow": 3, "fast": 3}
    assert min(turns["slow"]) >= 4 > 1, "no sleep is shorter than it was asked to be"
    changes = sum(one != other for one, other in pairwise(order))
    assert changes >= 6, "each has its turn in every round"


def test_a_busy_round_cancels_out() -> None:
    assert speedup([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    assert speedup([2.0, 2.0, 9.0], [1.0, 1.0, 1.0]) == 2.0


def test_every_single_call_is_timed_turn_by_turn() -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> object:
        def made() -> None:
            order.append(name)
            time.sleep(seconds)

        return made

    turns = list(time_each_call({"slow": call("slow", 0.02), "fast": call("fast", 0.001)}, rounds=3, round_s=0.01))  # type: ignore[dict-item]
    assert [name for name, _ in turns] == ["slow", "fast"] * 3
    times = {name: [ms for turn, own in turns for ms in own if turn == name] for name in ("slow", "fast")}
    assert len(times["slow"]) == 3, "a call that takes longer than its turn is made once"
    assert min(times["slow"]) >= 20
    assert min(times["fast"]) >= 1
    warm_up, *rounds = [(name, len(list(calls))) for name, calls in groupby(order)][1:]
    assert warm_up[0] == "fast"
    made = sum(num for name, num in rounds if name == "fast")
    assert made == len(times["fast"]) + 3, "the first of each turn does not count"


def test_a_turn_ends_in_time_however_much_slower_its_calls_become() -> None:
    num_calls = 0

    def slower_and_slower() -> None:
        nonlocal num_calls
        num_calls += 1
        time.sleep(0.001 if num_calls <= 5 else 0.02)

    assert [len(times) for _, times in time_each_call({"it": slower_and_slower}, rounds=2, round_s=0.01)] == [1, 1]


def test_percentiles_are_those_of_single_calls() -> None:
    latency = Latency.of([*range(1, 100), 1000.0])
    assert (latency.num_calls, latency.p50_ms) == (100, 50.5)
    assert latency.p90_ms == pytest.approx(90.1)
    assert 99 < latency.p99_ms < 200
    assert latency.mean_ms == pytest.approx(59.5)
