"""Requests that wait at the same time are run together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.errors import InputError
from mltool.serving.batching import Batcher
from mltool.serving.errors import HttpError


class Watch:
    """Notes the size of every batch."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def batch_done(self, num_samples: int, run_s: float, waits_s: list[float]) -> None:
        assert run_s >= 0
        assert all(wait_s >= 0 for wait_s in waits_s)
        self.sizes.append(num_samples)


def twice(inputs: Any) -> dict[str, np.ndarray]:
    """Refuses 13."""
    if (inputs["x"] == 13).any():
        raise InputError("13 is no number")
    return {"y": inputs["x"] * 2}


def batcher(
    run: Callable[..., Any] = twice, watch: Watch | None = None, *, is_alone: bool = False, **options: Any
) -> Batcher:
    chosen = {"max_batch_size": 8, "loop_batch_size": 8, "max_queue_size": 1000, "timeout_s": 5.0, **options}
    return Batcher(run, observer=watch or Watch(), is_alone=lambda: is_alone, **chosen)


async def ask(to: Batcher, *values: float) -> list[float]:
    answer = await to.answer({"x": np.array(values, np.float32)}, len(values))
    values_: list[float] = answer["y"].tolist()
    return values_


@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(1, 10), st.sampled_from([0, 3, 100]))
def test_each_request_gets_its_own_rows(sizes: list[int], max_batch_size: int, loop_batch_size: int) -> None:
    watch = Watch()

    async def main() -> list[list[float]]:
        to = batcher(watch=watch, max_batch_size=max_batch_size, loop_batch_size=loop_batch_size)
        rows = [[100.0 * request + row for row in range(size)] for request, size in enumerate(sizes)]
        return await asyncio.gather(*(ask(to, *one) for one in rows))

    answers = asyncio.run(main())
    expected = [[2 * (100.0 * request + row) for row in range(size)] for request, size in enumerate(sizes)]
    assert answers == expected
    assert sum(watch.sizes) == sum(sizes)
    assert all(size <= max(max_batch_size, max(sizes)) for size in watch.sizes)


def test_requests_that_come_together_are_one_batch() -> None:
    watch = Watch()

    async def main() -> None:
        to = batcher(watch=watch)
        await asyncio.gather(*(ask(to, value) for value in range(8)))

    asyncio.run(main())
    assert watch.sizes == [8]


def test_what_comes_while_a_batch_runs_is_the_next_one() -> None:
    watch, gate = Watch(), threading.Event()

    def wait(inputs: Any) -> dict[str, np.ndarray]:
        gate.wait(5)
        return twice(inputs)

    async def main() -> None:
        to = batcher(wait, watch, loop_batch_size=0)
        first = asyncio.create_task(ask(to, 1))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(ask(to, value)) for value in range(2, 7)]
        await asyncio.sleep(0.05)
        gate.set()
        assert await asyncio.gather(first, *others) == [[2], [4], [6], [8], [10], [12]]

    asyncio.run(main())
    assert watch.sizes == [1, 5]


def test_a_lone_request_is_run_at_once() -> None:
    async def main() -> None:
        to = batcher(is_alone=True)
        asking = ask(to, 4)
        with pytest.raises(StopIteration) as ended:  # it never waits for the loop
            asking.send(None)
        assert ended.value.value == [8]

    asyncio.run(main())


@pytest.mark.parametrize("loop_batch_size", [0, 100])
def test_a_bad_request_does_not_spoil_the_others(loop_batch_size: int) -> None:
    async def main() -> list[Any]:
        to = batcher(loop_batch_size=loop_batch_size)
        return await asyncio.gather(*(ask(to, value) for value in (1, 13, 3)), return_exceptions=True)

    first, bad, third = asyncio.run(main())
    assert (first, third) == ([2], [6])
    assert isinstance(bad, HttpError)
    assert (bad.status, bad.message) == (400, "13 is no number")


def test_a_failure_of_the_runtime_reaches_who_asked_and_the_next_is_answered() -> None:
    def fail(inputs: Any) -> dict[str, np.ndarray]:
        if (inputs["x"] < 0).any():
            raise RuntimeError("out of memory")
        return twice(inputs)

    async def main() -> None:
        to = batcher(fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            await ask(to, -1)
        assert await ask(to, 1) == [2]

    asyncio.run(main())


def test_a_queue_that_is_full_refuses_and_recovers() -> None:
    async def main() -> None:
        to = batcher(max_queue_size=3)
        waiting = [asyncio.create_task(ask(to, value)) for value in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(HttpError, match="3 samples are waiting already") as caught:
            await ask(to, 9)
        assert caught.value.status == 429
        assert await asyncio.gather(*waiting) == [[0], [2], [4]]
        assert to.num_waiting == 0
        assert await ask(to, 9) == [18]

    asyncio.run(main())


def test_a_request_larger_than_the_queue_can_never_be_answered() -> None:
    async def main() -> None:
        with pytest.raises(HttpError, match="4 samples are more than one request may hold, 3") as caught:
            await ask(batcher(max_queue_size=3), 1, 2, 3, 4)
        assert caught.value.status == 413

    asyncio.run(main())


def test_requests_behind_a_batch_that_hangs_are_told_in_time() -> None:
    gate = threading.Event()

    def hang(inputs: Any) -> dict[str, np.ndarray]:
        gate.wait(20)
        return twice(inputs)

    async def main() -> None:
        to = batcher(hang, loop_batch_size=0, timeout_s=0.3)
        started = time.monotonic()
        outcomes = await asyncio.gather(*(ask(to, value) for value in range(20)), return_exceptions=True)
        assert time.monotonic() - started < 5
        assert {getattr(one, "status", None) for one in outcomes} == {504}
        assert to.is_running
        gate.set()
        await asyncio.sleep(0.2)
        assert not to.is_running
        assert await ask(to, 1) == [2]

    asyncio.run(main())


def test_who_has_gone_is_not_run() -> None:
    watch, gate = Watch(), threading.Event()

    def wait(inputs: Any) -> dict[str, np.ndarray]:
        gate.wait(5)
        return twice(inputs)

    async def main() -> None:
        to = batcher(wait, watch, loop_batch_size=0)
        first = asyncio.create_task(ask(to, 1))
        await asyncio.sleep(0.02)
        gone, stays = asyncio.create_task(ask(to, 2, 2, 2)), asyncio.create_task(ask(to, 3))
        await asyncio.sleep(0.02)
        gone.cancel()
        gate.set()
        assert await first == [2]
        assert await stays == [6]

    asyncio.run(main())
    assert watch.sizes == [1, 1]


def test_after_a_batch_that_held_up_the_loop_all_others_run_on_the_thread() -> None:
    threads = []

    def slow(inputs: Any) -> dict[str, np.ndarray]:
        threads.append(threading.current_thread() is threading.main_thread())
        time.sleep(0.08)
        return twice(inputs)

    async def main() -> None:
        to = batcher(slow)
        await ask(to, 1)
        await ask(to, 2)

    asyncio.run(main())
    assert threads == [True, False]
