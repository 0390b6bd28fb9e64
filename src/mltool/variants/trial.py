"""Candidates built, held against the float network in fresh processes, and timed in turns."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import any_failed
from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.runtimes.candidate import FLOAT, Candidate, Tried
from mltool.runtimes.config import GRAPH, schemes
from mltool.runtimes.measure import task_of
from mltool.runtimes.runner import Runner, Signature, candidate_of, load, unfinished
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.runtimes.schemes._scheme import limits_of
from mltool.runtimes.timing import Call, speedup, take_turns
from mltool.runtimes.verify import verify_in_fresh_process


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What candidates are tried on.

    Attributes:
        base: The float model that every graph is made from.
        to_beat: What is used today; the same model, or another variant of it.
        folder: Where graphs are built, one folder a scheme.
        batch_size: Samples a call while timing.
        max_metric_drop: Largest accepted loss of the task metric, as a fraction of 1.
    """

    base: Artifact
    to_beat: Artifact
    folder: Path
    batch_size: int
    max_metric_drop: float

    def run(self, candidates: Sequence[Candidate]) -> list[Tried]:
        """Everything that was tried, what was to beat first; none is chosen yet."""
        samples = Samples.load(self.base.path / SAMPLES)
        signature = Signature.from_json(self.base.manifest.signature)
        today = load(self.to_beat)
        runners: dict[Candidate, Runner] = {}
        tried: dict[Candidate, Tried] = {}
        with events.track("try", len(candidates), "candidates") as bar:
            for candidate in candidates:
                try:
                    tried[candidate] = self._checked(candidate, samples, signature)
                    if not any_failed(tried[candidate].checks):
                        folder = self.folder / candidate.scheme
                        runners[candidate] = load(unfinished(folder, signature, candidate.run()))
                except MltoolError as error:
                    tried[candidate] = Tried(candidate, "error", reason=error.message)
                bar.advance(1, candidate.name)
        timed = self._timed(today, runners, samples)
        size = (self.to_beat.path / GRAPH).stat().st_size / 2**20
        kept = Tried(
            candidate_of(self.to_beat), "kept", latency_ms=statistics.median(timed[None]), speedup=1.0, size_mib=size
        )
        results = [kept]
        for candidate, one in tried.items():
            if candidate in runners:
                latency, ratio = statistics.median(timed[candidate]), speedup(timed[None], timed[candidate])
                one = dataclasses.replace(one, latency_ms=latency, speedup=ratio)
            results.append(one)
        return results

    def _checked(self, candidate: Candidate, samples: Samples, signature: Signature) -> Tried:
        folder = self._built(candidate.scheme, samples)
        limits = dataclasses.replace(limits_of(candidate), task_metric_drop=self.max_metric_drop)
        checks = verify_in_fresh_process(folder, signature, limits, task=task_of(self.base), run=candidate.run())
        failed = [check for check in checks if any_failed([check])]
        return Tried(
            candidate,
            "failed" if failed else "passed",
            tuple(checks),
            size_mib=(folder / GRAPH).stat().st_size / 2**20,
            reason="; ".join(f"`{check.id}`" for check in failed),
        )

    def _built(self, scheme: str, samples: Samples) -> Path:
        """The folder with the graph of a scheme; built when it is first needed."""
        folder, source = self.folder / scheme, self.base.path / GRAPH
        if not (folder / GRAPH).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.base.path / SAMPLES, folder / SAMPLES)
            if scheme == FLOAT:
                shutil.copy(source, folder / GRAPH)
            else:
                schemes.load(scheme).convert(source, samples.inputs, folder / GRAPH)
        return folder

    def _timed(
        self, today: Runner, runners: Mapping[Candidate, Runner], samples: Samples
    ) -> dict[Candidate | None, list[float]]:
        """Milliseconds a call; what is used today under None."""
        inputs = {name: array[: self.batch_size] for name, array in samples.inputs.items()}
        calls: dict[Candidate | None, Call] = {None: partial(today.run, inputs)}
        calls.update((candidate, partial(runner.run, inputs)) for candidate, runner in runners.items())
        return take_turns(calls)
