"""What models cost side by side on this host: latency, throughput, size, memory and load time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.store import Store
from mltool.core import events, host, units
from mltool.core.errors import ConfigError
from mltool.reports.profile_page import ProfileReport, profile_page
from mltool.runtimes.candidate import Candidate
from mltool.runtimes.config import GRAPH
from mltool.runtimes.runner import candidate_of
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.runtimes.timing import ROUNDS
from mltool.stages.profile.config import ProfileJob
from mltool.stages.profile.measure import Subject
from mltool.stages.profile.process import ask
from mltool.stages.profile.result import BatchTimes, Profile, Profiles

CLAIM = "profile"
NUM_LOADS = 3
"""New processes a model; their median counts."""


def profile(models: Sequence[Artifact], job: ProfileJob, store: Store) -> Profiles:
    """Measure models in new processes, and attest what each costs.

    Raises:
        ConfigError: A batch size does not fit the model or the memory; a runtime is not installed.
        ArtifactError: A model has no graph, or it does not load.
    """
    models = _distinct(models)
    sizes = list(dict.fromkeys(job.batch_sizes))
    ways = [candidate_of(model, None if job.backend == "auto" else job.backend, job.threads) for model in models]
    with store.scratch() as folder:
        subjects = [_subject(model, way, sizes, folder) for model, way in zip(models, ways, strict=True)]
        loads = _loads(subjects, sizes)
        times = _times(subjects, sizes, job.duration_s)
    facts = host.facts()
    profiles = tuple(
        _profile(model, way, load, [_batch(size, time) for size, time in zip(sizes, own, strict=True)])
        for model, way, load, own in zip(models, ways, loads, times, strict=True)
    )
    report = ProfileReport(profiles=[one.to_json() for one in profiles], config=asdict(job), host=facts)
    proofs = tuple(_attest(model, one, report, store) for model, one in zip(models, profiles, strict=True))
    return Profiles(profiles=profiles, host=facts, attestations=proofs)


def _distinct(models: Sequence[Artifact]) -> list[Artifact]:
    """The models, each once."""
    distinct: dict[str, Artifact] = {}
    for model in models:
        same = distinct.setdefault(model.digest, model)
        if same is not model:
            which = "is given twice" if same.label == model.label else f"is the same model as `{same.label}`"
            events.warning(f"`{model.label}` {which}, so it is profiled once")
    return list(distinct.values())


def _subject(model: Artifact, way: Candidate, sizes: Sequence[int], folder: Path) -> Subject:
    """A model with no more samples beside it than it is to run at once.

    Raises:
        ConfigError: The largest batch cannot even be held.
    """
    samples = Samples.load(model.path / SAMPLES)
    needed = max(sizes) * sum(array[:1].nbytes for array in (*samples.inputs.values(), *samples.outputs.values()))
    free = host.available_memory_bytes()
    if needed > free:
        raise ConfigError(
            f"{max(sizes):,} samples of `{model.label}` take {units.size(needed)}, but {units.size(free)} are free",
            hint="give smaller `batch_sizes`",
        )
    path = folder / f"{model.digest}.npz"
    Samples({name: array[: max(sizes)] for name, array in samples.inputs.items()}, {}).save(path)
    return Subject(str(model.path), model.label, way.backend, way.threads or None, str(path))


def _loads(subjects: Sequence[Subject], sizes: Sequence[int]) -> list[list[dict[str, Any]]]:
    loads: list[list[dict[str, Any]]] = [[] for _ in subjects]
    with events.track("load", NUM_LOADS * len(subjects), "processes") as bar:
        for _ in range(NUM_LOADS):
            for subject, own in zip(subjects, loads, strict=True):
                own.append(ask("load_once", [subject], lambda: bar.advance(1), batch_sizes=sizes))
    return loads


def _times(subjects: Sequence[Subject], sizes: Sequence[int], duration_s: float) -> list[list[dict[str, float]]]:
    with events.track("time", ROUNDS * len(subjects) * len(sizes), "turns") as bar:
        times: list[list[dict[str, float]]] = ask(
            "time_all", subjects, lambda: bar.advance(1), batch_sizes=sizes, duration_s=duration_s
        )
    return times


def _batch(batch_size: int, time: Mapping[str, Any]) -> BatchTimes:
    return BatchTimes(
        batch_size=batch_size,
        num_calls=time["num_calls"],
        latency_p50_ms=time["p50_ms"],
        latency_p90_ms=time["p90_ms"],
        latency_p99_ms=time["p99_ms"],
        latency_mean_ms=time["mean_ms"],
        throughput_per_s=batch_size * 1000 / time["mean_ms"],
        speedup=time["speedup"],
    )


def _profile(
    model: Artifact, way: Candidate, loads: Sequence[Mapping[str, Any]], batches: Sequence[BatchTimes]
) -> Profile:
    graph, memory_mib = model.path / GRAPH, [load["memory_mib"] for load in loads]
    return Profile(
        model=model.label,
        digest=model.digest,
        backend=way.backend,
        threads=way.num_threads,
        runs_as=way.name,
        size_mib=graph.stat().st_size / 2**20 if graph.is_file() else None,
        memory_mib=None if None in memory_mib else statistics.median(memory_mib),
        load_time_s=statistics.median(load["load_time_s"] for load in loads),
        batches=tuple(batches),
    )


def _attest(model: Artifact, measured: Profile, report: ProfileReport, store: Store) -> Artifact:
    return store.attest(
        model,
        CLAIM,
        metrics=measured.metrics(),
        facts={"profile": measured.to_json(), "config": dict(report.config), "host": dict(report.host)},
        pages={REPORT: lambda digest: profile_page(report, digest)},
    )
