"""What a profile says, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mltool.artifacts.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTimes:
    """How fast a model runs batches of one size.

    Attributes:
        num_calls: How many were timed; of fewer than 100, the slowest stands for `latency_p99_ms`.
        speedup: Against the first model, as a ratio.
    """

    batch_size: int
    num_calls: int
    latency_p50_ms: float
    latency_p90_ms: float
    latency_p99_ms: float
    latency_mean_ms: float
    throughput_per_s: float
    speedup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one model costs.

    Attributes:
        runs_as: Runtime, precision and threads in words.
        size_mib: Of the graph; None for a model without one.
        memory_mib: The most that a new process held which did nothing but load the model and run each batch size;
            None where the system does not say.
        load_time_s: From the start of loading the runtime and the model, in a new process, to the first answer.
    """

    model: str
    digest: str
    backend: str
    threads: int
    runs_as: str
    size_mib: float | None
    memory_mib: float | None
    load_time_s: float
    batches: tuple[BatchTimes, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "batches": [asdict(batch) for batch in self.batches]}

    def metrics(self) -> dict[str, float]:
        """The numbers under names that end in their unit."""
        whole = {"size_mib": self.size_mib, "memory_mib": self.memory_mib, "load_time_s": self.load_time_s}
        metrics = {name: value for name, value in whole.items() if value is not None}
        for batch in self.batches:
            for name in ("latency_p50_ms", "latency_p99_ms", "throughput_per_s"):
                metrics[f"batch_{batch.batch_size}_{name}"] = getattr(batch, name)
        return metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """Models side by side on one host.

    Attributes:
        attestations: Of each model, in the same order.
    """

    profiles: tuple[Profile, ...]
    host: Mapping[str, Any]
    attestations: tuple[Artifact, ...]

    def to_json(self) -> dict[str, Any]:
        paths = [str(proof.path) for proof in self.attestations]
        return {"profiles": [one.to_json() for one in self.profiles], "host": self.host, "attestations": paths}
