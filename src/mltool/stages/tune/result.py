"""What a search found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.stages.tune.study import BEST, REPORT
from mltool.stages.tune.trial import Metric, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A study with its trials, of which at least one is complete.

    Attributes:
        space: By key, in words.
        best: The best trial.
        before: The trial that had the config as it stands; None if the space does not hold it, or it did not end.
        config: The best config in sections, as `best.yaml` holds it.
        command: What trains with it.
    """

    study: str
    folder: Path
    metric: Metric
    space: Mapping[str, str]
    trials: Sequence[Trial]
    num_trials: int
    best: Trial
    before: Trial | None
    config: Mapping[str, Any]
    command: str

    @property
    def best_path(self) -> Path:
        return self.folder / BEST

    @property
    def report_path(self) -> Path:
        return self.folder / REPORT

    @property
    def ranked(self) -> list[Trial]:
        """Complete trials from the best to the worst, then those that were stopped early, then those that failed."""
        order = ("complete", "pruned", "failed")
        return sorted(self.trials, key=lambda trial: (order.index(trial.outcome), self.metric.rank(trial)))

    def to_json(self) -> dict[str, Any]:
        return {
            "study": self.study,
            "path": str(self.best_path),
            "report": str(self.report_path),
            "metric": {"name": self.metric.name, "direction": "minimize" if self.metric.minimize else "maximize"},
            "space": dict(self.space),
            "best": {"value": self.best.value, "trial": self.best.number, "config": dict(self.config)},
            "before": None if self.before is None else self.before.to_json(),
            "command": self.command,
            "num_trials": self.num_trials,
            "trials": [trial.to_json() for trial in self.trials],
        }
