"""Greedy batching: what has arrived while the last batch ran is the next one; nobody waits for a timer.

A lone request is run at once. A batch that takes longer than the event loop can be spared runs on a thread, so that
health checks and other connections go on being answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mltool.core.errors import InputError
from mltool.serving.errors import RETRY_AFTER, HttpError

# Axes: N samples

Arrays = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Arrays], dict[str, npt.NDArray[Any]]]
_Outcome = dict[str, npt.NDArray[Any]] | Exception


_TOO_LONG_S = 0.05
"""After a batch that kept the event loop for so long, all others run on the thread."""


class Observer(Protocol):
    """Told of each batch."""

    def batch_done(self, num_samples: int, run_s: float, waits_s: list[float]) -> None: ...


class _Waiting:
    __slots__ = ("arrays", "arrived", "future", "num_samples")

    def __init__(
        self, arrays: Arrays, num_samples: int, future: asyncio.Future[_Outcome] | None, arrived: float
    ) -> None:
        self.arrays, self.num_samples, self.future, self.arrived = arrays, num_samples, future, arrived

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future is None or self.future.done()

    def end(self, outcome: _Outcome) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_result(outcome)


def _output_of(outcome: _Outcome) -> dict[str, npt.NDArray[Any]]:
    if isinstance(outcome, InputError):
        raise HttpError(400, outcome.message, hint=outcome.hint) from outcome
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class _Thread:
    """One thread for the model; unlike a pool's, it does not keep the process from ending while the model hangs."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_started = False

    def run(
        self,
        work: Callable[[], list[_Outcome]],
        done: Callable[[list[_Outcome]], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Do `work` on the thread, and then call `done` on the loop."""
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._serve, name="model", daemon=True).start()
        self._work.put(lambda: self._report(work(), done, loop))

    def _serve(self) -> None:
        while True:
            self._work.get()()

    @staticmethod
    def _report(
        outcomes: list[_Outcome], done: Callable[[list[_Outcome]], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended, and its loop with it
            loop.call_soon_threadsafe(done, outcomes)


class Batcher:
    """Runs what waits, oldest first, one batch at a time.

    Args:
        run: Answers one batch; called from one thread at a time.
        max_batch_size: Samples run together; a request that alone has more is run by itself.
        loop_batch_size: Samples up to which a batch is quick enough to run on the event loop; 0 for none.
        max_queue_size: Samples that may wait.
        timeout_s: How long a request may wait for its answer.
        is_alone: Whether no other request is on its way, so that there is nothing to gather.
    """

    def __init__(
        self,
        run: Run,
        *,
        max_batch_size: int,
        loop_batch_size: int,
        max_queue_size: int,
        timeout_s: float,
        observer: Observer,
        is_alone: Callable[[], bool],
    ) -> None:
        self._run, self._observer, self._is_alone = run, observer, is_alone
        self._max_batch_size, self._loop_batch_size = max_batch_size, loop_batch_size
        self.max_queue_size, self._timeout_s = max_queue_size, timeout_s
        self._queue: deque[_Waiting] = deque()
        self._running: list[_Waiting] = []
        self.num_waiting = 0
        """Samples in the queue."""
        self._is_busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._known_loop: asyncio.AbstractEventLoop | None = None
        self._thread = _Thread()

    async def answer(self, arrays: Arrays, num_samples: int) -> dict[str, npt.NDArray[Any]]:
        """The outputs for the samples of one request.

        Raises:
            HttpError: 429 where too much waits already, 413 where it could never fit, 504 where it takes too long, 400
                where the model cannot take it.
        """
        if not self._is_busy and num_samples <= self._loop_batch_size and self._is_alone():
            waiting = _Waiting(arrays, num_samples, None, time.perf_counter())
            return _output_of(self._outcomes([waiting], num_samples)[0])
        return _output_of(await self._submit(arrays, num_samples))

    @property
    def is_running(self) -> bool:
        """Whether a thread is busy with a batch."""
        return bool(self._running)

    def _submit(self, arrays: Arrays, num_samples: int) -> asyncio.Future[_Outcome]:
        if self.num_waiting + num_samples > self.max_queue_size:
            if num_samples > self.max_queue_size:
                raise HttpError(
                    413,
                    f"{num_samples} samples are more than one request may hold, {self.max_queue_size}",
                    hint="send them in parts; `max_queue_size=` of the server is the limit",
                )
            raise HttpError(429, f"{self.num_waiting} samples are waiting already", headers=RETRY_AFTER)
        loop = self._loop()
        future: asyncio.Future[_Outcome] = loop.create_future()
        self._queue.append(_Waiting(arrays, num_samples, future, time.perf_counter()))
        self.num_waiting += num_samples
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._next)
        return future

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._known_loop is None:  # kept, because Python 3.11 asks the system for the process with each call
            self._known_loop = asyncio.get_running_loop()
        return self._known_loop

    def _next(self) -> None:
        batch, num_samples = self._take()
        if not batch:
            self._is_busy = False
            return
        if num_samples <= self._loop_batch_size:
            self._finish(batch, self._outcomes(batch, num_samples))
            return
        self._running = batch
        self._watch()
        self._thread.run(
            lambda: self._outcomes(batch, num_samples), lambda done: self._finish(batch, done), self._loop()
        )

    def _take(self) -> tuple[list[_Waiting], int]:
        """The oldest requests that fit into one batch, without those that nobody waits for any more."""
        batch: list[_Waiting] = []
        num_samples = 0
        queue = self._queue
        if queue and queue[0].arrived < time.perf_counter() - self._timeout_s:
            self._expire()
        while queue and (not num_samples or num_samples + queue[0].num_samples <= self._max_batch_size):
            waiting = queue.popleft()
            self.num_waiting -= waiting.num_samples
            if not waiting.is_over:
                num_samples += waiting.num_samples
                batch.append(waiting)
        return batch, num_samples

    def _outcomes(self, batch: list[_Waiting], num_samples: int) -> list[_Outcome]:
        """Outputs or an error for each request of a batch; one that cannot be answered does not spoil the others."""
        started = time.perf_counter()
        try:
            outcomes = self._run_together(batch)
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises belongs to the request that caused it
            outcomes = [error] if len(batch) == 1 else [self._outcomes([one], one.num_samples)[0] for one in batch]
            if len(batch) > 1:
                return outcomes
        run_s = time.perf_counter() - started
        if run_s > _TOO_LONG_S and num_samples <= self._loop_batch_size:
            self._loop_batch_size = 0  # other inputs than the samples may take the model longer: no more on the loop
        self._observer.batch_done(num_samples, run_s, [started - waiting.arrived for waiting in batch])
        return outcomes

    def _run_together(self, batch: list[_Waiting]) -> list[_Outcome]:
        if len(batch) == 1:
            return [self._run(batch[0].arrays)]
        names = batch[0].arrays
        outputs = self._run({name: np.concatenate([waiting.arrays[name] for waiting in batch]) for name in names})
        parts: list[_Outcome] = []
        start = 0
        for waiting in batch:
            end = start + waiting.num_samples
            parts.append({name: array[start:end] for name, array in outputs.items()})
            start = end
        return parts

    def _finish(self, batch: list[_Waiting], outcomes: list[_Outcome]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.end(outcome)
        self._running = []
        if self._queue:
            self._loop().call_soon(self._next)  # not at once: connections get their turn between batches
        else:
            self._is_busy = False

    def _watch(self) -> None:
        """End what the thread is too slow for, while it is still at work; one timer, for the oldest."""
        oldest = next((one for one in (*self._running, *self._queue) if not one.is_over), None)
        if self._timer is None and oldest is not None:
            left_s = oldest.arrived + self._timeout_s - time.perf_counter()
            self._timer = self._loop().call_later(max(0.001, left_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._expire()
        if self._is_busy:
            self._watch()

    def _expire(self) -> None:
        latest = time.perf_counter() - self._timeout_s
        for waiting in (*self._running, *self._queue):
            if waiting.arrived <= latest:
                waiting.end(HttpError(504, f"no answer within {self._timeout_s:g} s"))
