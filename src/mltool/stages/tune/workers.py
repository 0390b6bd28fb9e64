"""Several processes that run trials of one study, which they share by its journal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any

from mltool.artifacts.store import Store
from mltool.core import errors, events
from mltool.core.errors import MltoolError
from mltool.datasets.dataset import Dataset
from mltool.modeling.training.stopping import stop_on_interrupt
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.journal import Journal
from mltool.stages.tune.search import Watch
from mltool.stages.tune.trial import Metric

_POLL_S = 0.1
_PATIENCE_S = 30.0
"""For a process to end its step when it is to stop."""


class Workers:
    def __init__(self, job: TuneJob, dataset: Dataset, metric: Metric, journal: Journal, store: Store) -> None:
        self.job, self.journal = job, journal
        self._request = {
            "job": asdict(job),
            "store": str(store.root),
            "dataset": dataset.artifact.digest,
            "metric": asdict(metric),
            "journal": str(journal.path),
        }

    def run(self, num_trials: int, watch: Watch) -> None:
        """Run trials until there are `num_trials`, or the time is over.

        A process that dies loses its trial, which fails, and another process takes its place.

        Raises:
            KeyboardInterrupt: Somebody stopped it; so do the processes.
            MltoolError: What was raised in a process, or all of them died before a trial began.
        """
        deadline = time.monotonic() + self.job.tune.timeout_s if self.job.tune.timeout_s else None
        with stop_on_interrupt() as stop:
            while deaths := self._round(num_trials, deadline, _one_at_a_time(watch), stop):
                if not self.journal.died(deaths[0]):
                    raise MltoolError(f"a process that was to run trials {deaths[0]}", hint="use `processes=1`")
                events.warning(f"a process that ran a trial {deaths[0]}; the trial failed, and the search goes on")
                watch.on_end()

    def _round(self, num_trials: int, deadline: float | None, watch: Watch, stop: threading.Event) -> list[str]:
        """Let all processes run to their end, and return how those ended that died."""
        left_s = None if deadline is None else max(1e-9, deadline - time.monotonic())
        request = json.dumps({**self._request, "num_trials": num_trials, "timeout_s": left_s})
        num_processes = min(self.job.tune.processes, num_trials)
        # Processes are ended before their threads are waited for.
        with ThreadPoolExecutor(num_processes) as pool, _processes(num_processes) as processes:
            attending = [pool.submit(_attend, *process, request, watch) for process in processes]
            while wait(attending, _POLL_S, FIRST_EXCEPTION).not_done and not stop.is_set():
                if any(done.exception() for done in attending if done.done()):
                    break
            if stop.is_set():
                raise KeyboardInterrupt
            ends = [done.result() for done in attending if done.done()]
        return [end for end in ends if end]


@contextmanager
def _processes(number: int) -> Iterator[list[tuple[subprocess.Popen[str], IO[bytes]]]]:
    """New processes, none of which outlives the block, with the files that they talk into.

    Each is in a session of its own: Ctrl-C is for us alone, and they are asked to stop once. The second time would end
    them in the middle of what they write.
    """
    # -P: a file in the current folder must not take the place of a library's.
    command = [sys.executable, "-P", "-m", "mltool.stages.tune.worker"]
    started: list[tuple[subprocess.Popen[str], IO[bytes]]] = []
    try:
        for _ in range(number):
            talk: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
            pipe = subprocess.PIPE
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=talk, text=True, encoding="utf-8", start_new_session=True
            )
            started.append((process, talk))
        yield started
    finally:
        _end([process for process, _ in started])
        for process, talk in started:
            for stream in (process.stdin, process.stdout, talk):
                if stream is not None:
                    stream.close()


def _end(processes: list[subprocess.Popen[str]]) -> None:
    """Let them end their step, but not for ever; nor if somebody asks once more."""
    deadline = time.monotonic() + _PATIENCE_S
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass  # they are killed
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _attend(process: subprocess.Popen[str], talk: IO[bytes], request: str, watch: Watch) -> str:
    """Pass on what a process says until it ends; how it ended if it died, else nothing.

    Raises:
        MltoolError: What was raised there.
    """
    try:
        with process.stdin as stdin:  # type: ignore[union-attr]
            stdin.write(request)
    except BrokenPipeError:
        pass  # it died before it read
    for line in process.stdout or ():
        answer: dict[str, Any] = json.loads(line)
        if "step" in answer:
            watch.on_step(answer["step"])
        elif "end" in answer:
            watch.on_end()
        else:
            raise getattr(errors, answer["error"])(answer["message"], hint=answer["hint"])
    code = process.wait()
    if code < 0:
        return f"was stopped by {signal.Signals(-code).name}"
    talk.seek(0)
    lines = talk.read().decode(errors="replace").strip().splitlines()
    return f"ended with {code}" + (f": {lines[-1]}" if lines else "") if code else ""


def _one_at_a_time(watch: Watch) -> Watch:
    """Whoever is told what happens is told by one thread at a time."""
    lock = threading.Lock()

    def on_step(what: str) -> None:
        with lock:
            watch.on_step(what)

    def on_end() -> None:
        with lock:
            watch.on_end()

    return Watch(on_step, on_end)
