from __future__ import annotations

import time
from itertools import pairwise

from mltool.runtimes.timing import speedup, take_turns


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
