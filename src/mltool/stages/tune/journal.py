"""The trials of a study in Optuna's journal, which any number of processes write at once."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mltool.core.config import plain
from mltool.core.errors import ArtifactError
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.point import Point
from mltool.stages.tune.space import Choices, Domain, Space
from mltool.stages.tune.trial import Metric, Trial

_NAME = "study"
_OUTCOMES: Mapping[TrialState, Any] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_REASON, _LOSS, _SAME_AS = "reason", "loss", "same_as"
NUM_RANDOM = 10
"""Trials drawn at random before those that came out well say where to look."""
_WARM_UP = 0.2
"""Share of the epochs in which no trial is stopped early."""
NUM_UNPRUNED = 5
"""Trials that run to their end before any is stopped early."""


def mend(path: Path) -> None:
    """Take away what a killed process left: half a line at the end, and the lock it held. Nobody else may be at it."""
    Path(f"{path}.lock").unlink(missing_ok=True)
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            with path.open("r+b") as stream:
                stream.truncate(content.rfind(b"\n") + 1)


class Journal:
    """Hands out points of a space, and keeps what comes of them.

    What is tried next depends on the seed and on the trials that count, not on how often the search was stopped.
    """

    def __init__(
        self, path: Path, space: Space, *, minimize: bool, seed: int, warm_up: int | None, several: bool
    ) -> None:
        """Open or make the journal.

        Args:
            warm_up: Epochs in which no trial is stopped early; None never stops one.
            several: Whether trials run at once, so that one must not look where another is at it.

        Raises:
            ArtifactError: It is damaged.
        """
        self.path, self.space, self._seed, self._several = path, space, seed, several
        self._distributions = {key: _distribution(domain) for key, domain in space.domains.items()}
        self._options = {
            key: {plain.dump(option): option for option in domain.options}
            for key, domain in space.domains.items()
            if isinstance(domain, Choices)
        }
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if warm_up is not None:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=NUM_UNPRUNED, n_warmup_steps=warm_up)
        with _quiet(), self._explained():
            self._storage = JournalStorage(JournalFileBackend(str(path)))
            self._study = optuna.create_study(
                study_name=_NAME,
                storage=self._storage,
                direction="minimize" if minimize else "maximize",
                pruner=pruner,
                load_if_exists=True,
            )

    def plan(self, first: Point | None, num_trials: int) -> int:
        """Queue what is tried in any case, and return the number of trials that the study will have.

        Args:
            first: What is tried first in a new study, such as the config as it stands.
        """
        with _quiet(), self._locked():
            known = [self._point(trial) for trial in self._trials() if not _is_cut_off(trial)]
            if first is not None and not known:
                self._enqueue(first)
                known.append(first)
            if self.space.size > num_trials:
                return num_trials
            seen = {repr(point) for point in known}
            new = [point for point in self.space.points() if repr(point) not in seen]
            for point in new:
                self._enqueue(point)
            return min(num_trials, len(known) + len(new))

    def died(self, reason: str) -> int:
        """Let the trials fail whose processes died at them, and return how many they are."""
        with _quiet(), self._locked():
            trials = self._trials(TrialState.RUNNING)
            for trial in trials:
                self._storage.set_trial_user_attr(trial._trial_id, _REASON, f"its process {reason}")
                self._study.tell(trial.number, state=TrialState.FAIL)
        return len(trials)

    def cut_off(self) -> None:
        """Give up the trials that nobody is at any more; what was tried in them is tried again."""
        with _quiet(), self._locked():
            for trial in self._trials(TrialState.RUNNING):
                self._study.tell(trial.number, state=TrialState.FAIL)
                if "fixed_params" in trial.system_attrs:
                    self._study.enqueue_trial(trial.system_attrs["fixed_params"])

    def next(self, num_trials: int) -> Running | None:
        """The next trial, or None if the study has all of its trials or others are at the last ones."""
        with _quiet(), self._locked():
            begun = [t for t in self._trials() if t.state != TrialState.WAITING and not _is_cut_off(t)]
            if len(begun) >= num_trials:
                return None
            self._study.sampler = optuna.samplers.TPESampler(
                seed=self._seed * 1_000_003 + len(begun), n_startup_trials=NUM_RANDOM, constant_liar=self._several
            )
            trial = self._study.ask(self._distributions)
            point = self._drawn(trial.params)
            same = [t for t in self._trials(TrialState.COMPLETE) if self._point(t) == point]
        return Running(self._study, trial, point, same[0] if same else None)

    def trials(self) -> list[Trial]:
        """The trials that are over and count, oldest first."""
        with _quiet():
            return [self._ended(trial) for trial in self._trials(*_OUTCOMES) if not _is_cut_off(trial)]

    def _ended(self, trial: FrozenTrial) -> Trial:
        reason = str(trial.user_attrs.get(_REASON, ""))
        if _SAME_AS in trial.user_attrs:
            reason = f"the same as trial {trial.user_attrs[_SAME_AS]}"
        outcome = _OUTCOMES[trial.state]
        return Trial(
            number=trial.number,
            outcome=outcome,
            point=self._point(trial),
            value=trial.value if outcome != "failed" else None,
            loss=trial.user_attrs.get(_LOSS),
            curve=tuple(value for _, value in sorted(trial.intermediate_values.items())),
            seconds=trial.duration.total_seconds() if trial.duration else math.nan,
            reason=reason,
        )

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        with self._explained():
            return self._study.get_trials(deepcopy=False, states=states or None)

    def _enqueue(self, point: Point) -> None:
        encoded = {key: plain.dump(value) if key in self._options else value for key, value in point.items()}
        self._study.enqueue_trial(encoded)

    def _point(self, trial: FrozenTrial) -> Point:
        return self._drawn(trial.params or trial.system_attrs.get("fixed_params", {}))

    def _drawn(self, drawn: Mapping[str, Any]) -> Point:
        return {
            key: self._options[key][drawn[key]] if key in self._options else domain.rounded(drawn[key])
            for key, domain in self.space.domains.items()
            if key in drawn
        }

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one process at a time counts trials and begins one."""
        with FileLock(f"{self.path}.begin.lock"), self._explained():
            yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, LookupError, TypeError, AssertionError) as error:
            raise ArtifactError(
                f"the journal `{self.path}` is damaged: {str(error).partition(chr(10))[0] or type(error).__name__}",
                hint="start a new study without --resume; the file stays as it is",
            ) from error


def journal_of(job: TuneJob, path: Path, space: Space, metric: Metric) -> Journal:
    """The journal of a search, as every process that takes part in it opens it."""
    warm_up = max(1, round(job.train.epochs * _WARM_UP)) if job.tune.pruner == "median" else None
    several = job.tune.processes > 1
    return Journal(path, space, minimize=metric.minimize, seed=job.tune.seed, warm_up=warm_up, several=several)


class Running:
    """A trial that has begun."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, point: Point, same: FrozenTrial | None) -> None:
        self._study, self._trial, self.point, self._same = study, trial, point, same

    @property
    def number(self) -> int:
        return self._trial.number

    def repeat(self) -> bool:
        """Take the value of the trial that had the same point: training is deterministic. False if there is none."""
        if self._same is None or self._same.value is None:
            return False
        self._trial.set_user_attr(_SAME_AS, self._same.number)
        self.complete(self._same.value, self._same.user_attrs[_LOSS])
        return True

    def report(self, value: float, epoch: int) -> bool:
        """Note the value after an epoch, and return whether to go on."""
        with _quiet():
            self._trial.report(value, epoch)
            return not self._trial.should_prune()

    def complete(self, value: float, loss: float) -> None:
        self._tell(TrialState.COMPLETE, {_LOSS: loss}, value)

    def pruned(self) -> None:
        """It was worse than most at its epoch."""
        self._tell(TrialState.PRUNED, {})

    def failed(self, reason: str) -> None:
        self._tell(TrialState.FAIL, {_REASON: reason})

    def _tell(self, state: TrialState, notes: Mapping[str, Any], value: float | None = None) -> None:
        with _quiet():
            for name, note in notes.items():
                self._trial.set_user_attr(name, note)
            self._study.tell(self._trial, value, state)


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choices):
        return CategoricalDistribution([plain.dump(option) for option in domain.options])
    if isinstance(domain.low, int):
        return IntDistribution(domain.low, int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _is_cut_off(trial: FrozenTrial) -> bool:
    """Whether a trial was given up rather than ended: one that failed says why."""
    return trial.state == TrialState.FAIL and _REASON not in trial.user_attrs


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's own talk is left out, and whoever uses Optuna in the same process keeps it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
