"""What the page of a study shows."""

from __future__ import annotations

from dataclasses import asdict

from mltool.reports.study_page import StudyReport
from mltool.reports.study_plots import Axis
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.point import short
from mltool.stages.tune.result import Tuned
from mltool.stages.tune.space import Choices, Domain, Space


def report_of(found: Tuned, space: Space, job: TuneJob, best_yaml: str, num_validation: int) -> StudyReport:
    """The report of a search.

    Args:
        num_validation: Samples that every trial was judged on.
    """
    settings = {name: value for name, value in asdict(job.tune).items() if name != "space"}
    return StudyReport(
        study=found.study,
        metric=found.metric.in_words,
        minimize=found.metric.minimize,
        axes=[_axis(short(key), domain) for key, domain in space.domains.items()],
        trials=[trial.to_json() for trial in found.ranked],
        before=None if found.before is None else found.before.to_json(),
        num_validation=num_validation,
        best_yaml=best_yaml,
        command=found.command,
        settings={
            "space": dict(found.space),
            "search": {**settings, "study": found.study, "metric": found.metric.name},
        },
    )


def _axis(key: str, domain: Domain) -> Axis:
    if isinstance(domain, Choices):
        return Axis(key, options=tuple(str(option) for option in domain.options))
    return Axis(key, domain.low, domain.high, domain.log)
