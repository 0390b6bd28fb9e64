"""A way to run a model, and what came of trying it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mltool.artifacts.checks import Check
from mltool.core import host
from mltool.core.errors import MltoolError

FLOAT = "fp32"
"""The scheme of a graph that is left as it is."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graph of some scheme, in a runtime, with its options.

    Attributes:
        threads: Of one call; 0 for all cores.
        scheme: `fp32`, or a module of `runtimes.schemes` that converts the float graph.
        options: What the backend understands, such as session settings.
    """

    backend: str
    scheme: str = FLOAT
    threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        threads = f"{self.threads} {'thread' if self.threads == 1 else 'threads'}" if self.threads else "all cores"
        return f"{self.backend} {self.precision}, {threads}"

    @property
    def precision(self) -> str:
        return self.options.get("precision", self.scheme)

    @property
    def num_threads(self) -> int:
        """Of one call on this host."""
        return self.threads or host.num_cores()

    def is_run_as(self, other: Candidate) -> bool:
        """Whether both are run alike on this host, so that neither can be the faster."""
        return replace(self, threads=self.num_threads) == replace(other, threads=other.num_threads)

    def run(self) -> dict[str, Any]:
        """How to run the model, as its config says it."""
        return {"backend": self.backend, "threads": self.threads or None, "options": dict(self.options)}


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one candidate.

    Attributes:
        outcome: `chosen`, `kept` (what the others had to beat), `passed` (and did not pay, or another
            is better), `failed` (a check) or `error`.
        speedup: Against what was to beat, as a ratio; None where it was not timed.
        reason: Why it was not chosen.
    """

    candidate: Candidate
    outcome: str
    checks: tuple[Check, ...] = ()
    latency_ms: float | None = None
    speedup: float | None = None
    size_mib: float | None = None
    reason: str = ""

    def raise_error(self) -> None:
        """Raise what kept the candidate from being built or loaded.

        Raises:
            MltoolError: It could not be.
        """
        if self.outcome == "error":
            raise MltoolError(f"{self.candidate.name} cannot be made: {self.reason}")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.candidate.name,
            "scheme": self.candidate.scheme,
            **self.candidate.run(),
            "outcome": self.outcome,
            "latency_ms": self.latency_ms,
            "speedup": self.speedup,
            "size_mib": self.size_mib,
            "reason": self.reason,
            "checks": [check.to_json() for check in self.checks],
        }
