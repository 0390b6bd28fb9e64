"""Search for the config that trains best."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_text
from mltool.core import events
from mltool.core.config.load import Resolved, nested
from mltool.core.errors import ConfigError, MltoolError
from mltool.modeling.network import check_network, default_arguments
from mltool.modeling.rebuild.recipe import code_digests
from mltool.modeling.sources.names import model_name
from mltool.modeling.sources.open import open_dataset, warn_of_embedded_data
from mltool.modeling.training.speed import device_for
from mltool.reports.study_page import study_page
from mltool.stages.tune.best import as_yaml, best_config, train_command
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.journal import Journal, journal_of, mend
from mltool.stages.tune.point import UNSAID, Point, at, short, value_at
from mltool.stages.tune.report import report_of
from mltool.stages.tune.result import Tuned
from mltool.stages.tune.search import Data, Search, Watch, metric_of
from mltool.stages.tune.space import Space, space_of, that_fits
from mltool.stages.tune.study import Study, check_study_name, new_study, parts_of, study_to_resume
from mltool.stages.tune.trial import Metric, Trial
from mltool.stages.tune.workers import Workers


def tune(plan: Resolved[TuneJob], store: Store, *, resume: bool = False) -> Tuned:
    """Train many configs, stop the bad ones early, and keep the best as a file.

    Raises:
        ArtifactError: A study is to be resumed that does not exist, or is damaged.
        ConfigError: The space, the metric, the network or the task does not fit the data; a study of that name is there
            already, or is of another model, data or space.
        KeyboardInterrupt: Somebody stopped it; `resume` continues.
        MltoolError: No trial came to an end.
    """
    job = plan.config
    space = space_of(job)
    check_study_name(job.tune.study)
    if job.train.processes > 1:
        raise ConfigError(
            f"`train.processes={job.train.processes}` does not go with a search: each trial trains in one process",
            hint=f"run several trials at once: `tune.processes={job.train.processes}`",
        )
    device_for(job.train.device)
    nearest = at(job, space.nearest(job))
    check_network(nearest.model)
    warn_of_embedded_data(job.model, plan.origins)
    with explained_disk_errors(store.root):
        dataset = open_dataset(job.data, store)
        data = Data(job, dataset, store)
        prepared = data.for_(nearest)
        space = that_fits(space, job, len(prepared.train))
        metric = metric_of(nearest, data, {*plan.origins, *space.domains})
        parts = parts_of(job, space, metric.key, dataset.artifact.digest, code_digests(job.model, job.task))
        study = study_to_resume(store, job.tune.study, parts) if resume else None
        if resume and study is None:
            events.info("there is no study with this config, data and code; starting a new one")
        study = study or new_study(store, job.tune.study, model_name(job.name, job.data, dataset), parts)
        with study.held():
            mend(study.journal)
            journal = journal_of(job, study.journal, space, metric)
            said = _with_defaults(job, space, default_arguments(job.model, prepared.schema))
            first = space.nearest(said) if space.holds(said) else None
            _say_what_is_outside(said, space)
            work = _Work(plan, study, space, metric, journal, first, len(prepared.validation))
            return _searched(work, data, store)


def _with_defaults(job: TuneJob, space: Space, defaults: dict[str, object]) -> TuneJob:
    """The config with the network's own defaults where the space has an argument that nobody gives."""
    given = {f"model.args.{name}": value for name, value in defaults.items()}
    return at(job, {key: given[key] for key in space.domains if key in given and value_at(job, key) is UNSAID})


def _say_what_is_outside(said: TuneJob, space: Space) -> None:
    values = {
        key: value_at(said, key) for key, domain in space.domains.items() if not domain.holds(value_at(said, key))
    }
    known = [f"`{short(key)}={value}`" for key, value in values.items() if value is not UNSAID]
    if known:
        events.info(f"your config is not among the trials, because {' and '.join(known)} is outside the space")


@dataclass(frozen=True, slots=True)
class _Work:
    """A study that is being searched.

    Attributes:
        first: The config as it stands; None if the space does not hold it.
        num_validation: Samples that every trial is judged on.
    """

    plan: Resolved[TuneJob]
    study: Study
    space: Space
    metric: Metric
    journal: Journal
    first: Point | None
    num_validation: int

    def written(self, num_trials: int) -> Tuned | None:
        """Write the best config and the page; None if no trial is complete."""
        trials = self.journal.trials()
        best = self.metric.best(trials)
        if best is None:
            return None
        config = best_config(self.plan, best.point)
        found = Tuned(
            study=self.study.name,
            folder=self.study.folder,
            metric=self.metric,
            space=self.space.in_words(),
            trials=trials,
            num_trials=num_trials,
            best=best,
            before=next((trial for trial in trials if trial.point == self.first and trial.value is not None), None),
            config=nested(config.values),
            command=train_command(self.plan, config, best.point),
        )
        of = f"the best of {len(trials)} trials of study {found.study}: {self.metric.in_words} {best.value:.4g}"
        best_yaml = as_yaml(config, of, f"as mltool.yaml, or as {found.command}")
        write_text(found.best_path, best_yaml)
        report = report_of(found, self.space, self.plan.config, best_yaml, self.num_validation)
        write_text(found.report_path, study_page(report))
        return found


def _searched(work: _Work, data: Data, store: Store) -> Tuned:
    job, journal, metric = work.plan.config, work.journal, work.metric
    journal.cut_off()
    num_trials = journal.plan(work.first, job.tune.trials)
    num_done = len(journal.trials())
    _say_what_is_searched(work, num_trials, num_done)
    try:
        if num_done < num_trials:
            with _shown(journal, metric, num_trials, num_done) as watch:
                if job.tune.processes > 1:
                    Workers(job, data.dataset, metric, journal, store).run(num_trials, watch)
                else:
                    deadline = time.monotonic() + (job.tune.timeout_s or math.inf)
                    Search(job, data, metric, journal, store).run(num_trials, deadline, watch)
    except KeyboardInterrupt:
        journal.cut_off()
        work.written(num_trials)
        events.info(f"stopped; `mltool tune --resume` with the same config goes on with study `{work.study.name}`")
        raise
    journal.cut_off()
    found = work.written(num_trials)
    if found is None:
        raise _nothing_found(journal.trials())
    if len(found.trials) < num_trials:
        events.info(f"the time is over after {len(found.trials)} of {num_trials} trials; `--resume` tries the others")
    return found


def _say_what_is_searched(work: _Work, num_trials: int, num_done: int) -> None:
    what = "; ".join(f"{key} {words}" for key, words in work.space.in_words().items())
    default = "" if work.plan.config.tune.space else ", the default space"
    done = f", {num_done} of them are there" if num_done else ""
    judged = f"judged by {work.metric.in_words}"
    events.info(f"study `{work.study.name}`: {num_trials} trials{done}, {judged}; searched: {what}{default}")
    if work.space.size <= num_trials:
        events.info(f"the space has {work.space.size:.0f} points, and each is tried")


@contextlib.contextmanager
def _shown(journal: Journal, metric: Metric, num_trials: int, num_done: int) -> Iterator[Watch]:
    """What is told of the trials, and shows how far the search is."""

    def best() -> str:
        trial = metric.best(journal.trials())
        return f"best {metric.name} {trial.value:.4g} (trial {trial.number})" if trial else "none complete yet"

    with events.track("tune", num_trials, "trials") as bar:
        bar.advance(num_done, best())
        so_far = best()

        def on_step(what: str) -> None:
            bar.advance(0, f"{so_far}; {what}")

        def on_end() -> None:
            nonlocal so_far
            so_far = best()
            bar.advance(1, so_far)

        yield Watch(on_step, on_end)


def _nothing_found(trials: list[Trial]) -> MltoolError:
    reasons = Counter(trial.reason for trial in trials if trial.outcome == "failed")
    if not reasons:
        return MltoolError(
            "no trial came to an end in the time there was", hint="give more `timeout_s`, and `--resume`"
        )
    reason, count = reasons.most_common(1)[0]
    share = "all" if count == len(trials) else f"{count} of them"
    return MltoolError(
        f"none of {len(trials)} trials came to an end; {share} because {reason}",
        hint="search another space, or train once with `mltool train` to see what is wrong",
    )
