"""What came of each trial, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from mltool.stages.tune.point import Point, short

Outcome = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration that was tried.

    Attributes:
        value: The metric with the weights that are kept, which are those with the smallest validation loss; None for
            a trial that failed.
        curve: The same after each epoch.
        loss: The validation loss of a complete trial, which decides between equal values.
        reason: Why it failed, or why it was not trained.
    """

    number: int
    outcome: Outcome
    point: Point
    value: float | None
    loss: float | None
    curve: tuple[float, ...]
    seconds: float
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "trial": self.number,
            "outcome": self.outcome,
            "value": self.value,
            "config": {short(key): value for key, value in self.point.items()},
            "epochs": len(self.curve),
            "curve": list(self.curve),
            "seconds": self.seconds,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Metric:
    """What trials are judged by, on the validation split.

    Attributes:
        key: As the history of a training names it.
    """

    key: str
    minimize: bool

    @property
    def name(self) -> str:
        return self.key.removeprefix("validation_")

    @property
    def in_words(self) -> str:
        return self.key.replace("_", " ")

    def best(self, trials: list[Trial]) -> Trial | None:
        """The best complete trial; of equals the first."""
        return min((trial for trial in trials if trial.outcome == "complete"), key=self.rank, default=None)

    def rank(self, trial: Trial) -> tuple[float, float]:
        """What trials of the same outcome are sorted by, the best first."""
        value = 0.0 if trial.value is None else trial.value
        return value if self.minimize else -value, math.inf if trial.loss is None else trial.loss
