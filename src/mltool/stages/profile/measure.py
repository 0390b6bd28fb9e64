"""What is measured in a new process, in which nothing else runs.

Run as `python -m mltool.stages.profile.measure REQUEST`, it prints one line of JSON a step, and the result in the last.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import Manifest
from mltool.core import errors, host
from mltool.core.errors import ConfigError, MltoolError
from mltool.runtimes.runner import Arrays, Runner, load
from mltool.runtimes.samples import Samples
from mltool.runtimes.timing import ROUNDS, Call, Latency, speedup, time_each_call

Step = Callable[[], object]
"""Says that the work moved on."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and how it is run.

    Attributes:
        samples: The file with what it is given.
    """

    path: str
    label: str
    backend: str
    threads: int | None
    samples: str

    def inputs(self) -> Arrays:
        return Samples.load(Path(self.samples)).inputs

    def load(self) -> Runner:
        path = Path(self.path)
        return load(Artifact(path, Manifest.read(path), self.label), self.backend, self.threads)

    def call(self, runner: Runner, inputs: Arrays, batch_size: int) -> Call:
        """What runs one batch, after it has done so once.

        Raises:
            ConfigError: The model, or this machine, cannot run so many samples at once.
        """
        try:
            call = partial(runner.run, {name: _batch(array, batch_size) for name, array in inputs.items()})
            call()
        except (MltoolError, MemoryError) as error:
            why = str(error) or "there is not enough memory"
            raise ConfigError(
                f"`{self.label}` cannot run {batch_size:,} samples at once: {why}", hint="give other `batch_sizes`"
            ) from error
        return call


def _batch(array: npt.NDArray[Any], batch_size: int) -> npt.NDArray[Any]:
    """The first samples; where there are too few, they come again."""
    return array[:batch_size] if batch_size <= len(array) else array[np.arange(batch_size) % len(array)]


def load_once(subjects: Sequence[Subject], batch_sizes: Sequence[int], step: Step) -> dict[str, float | None]:
    """Seconds to the first answer of the only subject, and the memory that all of its batch sizes took."""
    (subject,) = subjects
    inputs = subject.inputs()
    started = time.perf_counter()
    runner = subject.load()
    subject.call(runner, inputs, 1)
    load_time_s = time.perf_counter() - started
    for batch_size in sorted(batch_sizes):
        subject.call(runner, inputs, batch_size)
    step()
    peak_bytes = host.peak_memory_bytes()
    return {"load_time_s": load_time_s, "memory_mib": None if peak_bytes is None else peak_bytes / 2**20}


def time_all(
    subjects: Sequence[Subject], batch_sizes: Sequence[int], duration_s: float, step: Step
) -> list[list[dict[str, float]]]:
    """Latencies by model and batch size; all of them take turns."""
    loaded = [(subject, subject.load(), subject.inputs()) for subject in subjects]
    calls = {
        (model, batch_size): subject.call(runner, inputs, batch_size)
        for batch_size in batch_sizes
        for model, (subject, runner, inputs) in enumerate(loaded)
    }
    rounds: dict[tuple[int, int], list[list[float]]] = {cell: [] for cell in calls}
    for cell, times_ms in time_each_call(calls, round_s=duration_s / ROUNDS):
        rounds[cell].append(times_ms)
        step()
    return [[_latency(rounds[model, size], rounds[0, size]) for size in batch_sizes] for model in range(len(subjects))]


def _latency(rounds: list[list[float]], first: list[list[float]]) -> dict[str, float]:
    medians, to_beat = ([statistics.median(times_ms) for times_ms in own] for own in (rounds, first))
    every = Latency.of([time_ms for times_ms in rounds for time_ms in times_ms])
    return {**asdict(every), "speedup": speedup(to_beat, medians)}


_WORK: Mapping[str, Callable[..., Any]] = {"load_once": load_once, "time_all": time_all}


def main(request: str) -> None:
    # What a library, or code of the user, prints is no answer of ours.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def answer(**line: Any) -> None:
            answers.write(f"{json.dumps(line)}\n")
            answers.flush()

        wanted = json.loads(request)
        subjects = [Subject(**subject) for subject in wanted.pop("subjects")]
        host.limit_memory()
        try:
            answer(result=_WORK[wanted.pop("work")](subjects, **wanted, step=partial(answer, step=1)))
        except MltoolError as error:
            kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ == errors.__name__)
            answer(error=kind, message=error.message, hint=error.hint)


if __name__ == "__main__":
    main(sys.argv[1])
