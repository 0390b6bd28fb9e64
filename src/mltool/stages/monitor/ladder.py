"""What a robustness ladder says, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One corruption in one severity.

    Attributes:
        column: The only column that was corrupted; empty if it was not one alone.
        says: How much of it, in words.
        value: What is left of the metric.
        lost: What is gone of it.
        interval: Where `lost` may lie, at the level of 95%; None for a metric of the user's own.
        noticed_after: The smallest window, in requests, in which `drift` would notice it; None if in none of them.
    """

    corruption: str
    column: str
    severity: int
    says: str
    value: float
    lost: float
    interval: tuple[float, float] | None
    noticed_after: int | None

    @property
    def label(self) -> str:
        words = self.corruption.replace("_", " ")
        return f"{words} of `{self.column}`" if self.column else words

    def is_harmful(self, max_loss: float) -> bool:
        """Whether it costs more than `max_loss`, and surely something."""
        return self.lost >= max_loss and (self.interval is None or self.interval[0] > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A model under damage of rising severity.

    Attributes:
        split: Where the rows come from: a split of the model's dataset, or `samples`.
        metric: What `value` and `lost` of the rungs are: the task's main metric, or `agreement` without labels.
        clean: The metric without damage.
        unseen: The inputs that `drift` does not see, because a deployment does not record them; it sees all answers.
        windows: The window sizes that were tried, in requests; none if nothing can be said of noticing.
        power: The share of windows in which `drift` must raise an alarm.
        false_alarms: The share of the largest windows without damage in which it does; None if there are no windows.
        max_loss: From where on a corruption counts as harmful.
    """

    model: str
    digest: str
    split: str
    num_rows: int
    metric: str
    clean: float
    rungs: tuple[Rung, ...]
    unseen: tuple[str, ...]
    windows: tuple[int, ...]
    power: float
    alpha: float
    false_alarms: float | None
    max_loss: float

    @property
    def harmful(self) -> list[Rung]:
        """Those that cost much, the worst first."""
        found = [rung for rung in self.rungs if rung.is_harmful(self.max_loss)]
        return sorted(found, key=lambda rung: -rung.lost)

    @property
    def silent(self) -> list[Rung]:
        """Those that cost much and are not noticed, the worst first."""
        return [rung for rung in self.harmful if rung.noticed_after is None] if self.windows else []

    @property
    def worst(self) -> Rung:
        return max(self.rungs, key=lambda rung: rung.lost)

    @property
    def mean_retention(self) -> float:
        """The mean share of the metric that is left, over all rungs; what falls below 0 counts as nothing left."""
        return float(np.mean([min(1.0, max(0.0, rung.value / self.clean)) for rung in self.rungs]))

    def metrics(self) -> dict[str, float]:
        metrics = {
            self.metric: self.clean,
            f"worst_{self.metric}": self.worst.value,
            "mean_retention": self.mean_retention if self.clean > 0 else float("nan"),
            "num_harmful": float(len(self.harmful)),
        }
        return metrics | ({"num_silent_and_harmful": float(len(self.silent))} if self.windows else {})

    @property
    def summary(self) -> str:
        """The one sentence to read before a deployment."""
        worst = self.worst
        if worst.lost <= 0:
            return f"none of {len(self.rungs)} corruptions costs {self.metric}"
        text = (
            f"the worst corruption is {_named(worst)}, with {self.metric} {worst.value:.3g} instead of {self.clean:.3g}"
        )
        return f"{text}; {self.finding}" if self.windows else text

    @property
    def finding(self) -> str:
        """What is harmful, and whether it would be noticed."""
        harmful, silent = self.harmful, self.silent
        limit = f"{self.max_loss:g} {self.metric}"
        if not self.windows:
            return f"{len(harmful)} of {len(self.rungs)} corruptions cost {limit} or more"
        largest = f"{self.windows[-1]:,} requests"
        if not harmful:
            return f"no corruption costs {limit} or more"
        if not silent:
            return f"each that costs {limit} or more is noticed within {largest}"
        number = f"{len(silent)} of {len(self.rungs)} corruptions are" if len(silent) > 1 else "one corruption is"
        worst = f"{_named(silent[0])} costs {silent[0].lost:.3g} {self.metric}"
        return f"{number} silent and harmful: {worst}, and `drift` does not notice it within {largest}"

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "rungs": [asdict(rung) for rung in self.rungs],
            "mean_retention": self.mean_retention if self.clean > 0 else None,
            "silent_and_harmful": [asdict(rung) for rung in self.silent],
            "finding": self.finding,
            "summary": self.summary,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ladder:
        """What `to_json` wrote.

        Raises:
            KeyError, TypeError: It is something else.
        """
        fields = {name: data[name] for name in cls.__dataclass_fields__}
        rungs = [
            Rung(**{**one, "interval": tuple(one["interval"]) if one["interval"] else None}) for one in data["rungs"]
        ]
        return cls(
            **{**fields, "rungs": tuple(rungs), "windows": tuple(data["windows"]), "unseen": tuple(data["unseen"])}
        )


def _named(rung: Rung) -> str:
    return f"{rung.label} at severity {rung.severity} ({rung.says})"


@dataclass(frozen=True, slots=True)
class Robustness:
    """A ladder, and the attestation that keeps it."""

    ladder: Ladder
    attestation: Artifact

    def to_json(self) -> dict[str, Any]:
        return {**self.ladder.to_json(), "attestation": str(self.attestation.path)}
