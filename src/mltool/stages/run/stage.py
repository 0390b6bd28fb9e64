"""Walk the whole road, from the data to a ladder of robustness, and tell it in one page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json, write_text
from mltool.core.config.settings import find_project
from mltool.integrations.dvc.pipeline import Pipeline
from mltool.stages.run import folder as files
from mltool.stages.run import pipeline, sources, story
from mltool.stages.run.steps import StepOutcome, run_step, unchanged


@dataclass(frozen=True, slots=True)
class Road:
    """The road that was walked."""

    folder: Path
    steps: tuple[StepOutcome, ...]
    results: Mapping[str, Any]
    """What each step printed, by its name."""

    @property
    def page(self) -> Path:
        return self.folder / files.PAGE

    def to_json(self) -> dict[str, Any]:
        return {
            "road": str(self.folder),
            "page": str(self.page),
            "steps": [step.to_json() for step in self.steps],
            "summary": story.summary_of(self.results),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of.

    Attributes:
        keys: `KEY=VALUE` tokens by section, for what does not stand in the project's file.
        asked: Those of them that somebody wrote.
        files: What a step reads of the project, by its name.
    """

    keys: Mapping[str, Sequence[str]]
    asked: Sequence[str]
    files: Mapping[str, Sequence[Path]]


def plan_of(job: Any, written: Mapping[str, Sequence[str]], decided: Collection[str]) -> Plan:
    """The plan for a resolved config.

    Args:
        written: The tokens by section that somebody wrote, but not into the project's file.
        decided: Every key that is no default.
    """
    project = find_project()
    keys = {section: list(tokens) for section, tokens in written.items()}
    for key, text in pipeline.DEFAULTS.items():
        if key not in decided:
            keys.setdefault(key.partition(".")[0], []).append(f"{key}={text}")
    files = {
        "data": sources.of_data(job.data, project),
        "train": sources.of_training(job.model, job.task, project),
    }
    return Plan(keys, [key for own in written.values() for key in own], files)


def preview(plan: Plan) -> dict[str, Any]:
    """What `run` would do, as plain data; nothing is written."""
    folder, text = _folder(), _text(plan)
    standing = files.standing(folder, text)
    known = pipeline.stages_of(standing, folder) if (folder / pipeline.FILE).is_file() else {}
    wanted = pipeline.stages_of(text if pipeline.is_as_written(standing) else standing, folder)
    changed = Pipeline(folder).changed() if known and (folder / ".dvc").is_dir() else set(wanted)
    steps: list[dict[str, Any]] = []
    results: set[str] = set()
    for name, stage in wanted.items():
        would_run = name in changed or stage != known.get(name) or bool(results & set(stage.get("deps", ())))
        results |= {f"{name}.json"} if would_run else set()
        steps.append({"name": name, "command": pipeline.command_of(stage), "would_run": would_run})
    return {"road": str(folder), "steps": steps}


def run(plan: Plan, store: Store, *, quiet: bool = False) -> Road:
    """Run what is not up to date, and tell the whole in one page.

    Args:
        quiet: Keep the steps from saying what they do.

    Raises:
        StepError: A step failed; those before it stay done.
        ConfigError: `road/dvc.yaml` is somebody else's, or cannot be read.
    """
    folder = _folder()
    with explained_disk_errors(folder), files.alone(folder):
        files.write(folder, _text(plan), plan.asked)
        stages = pipeline.stages_of((folder / pipeline.FILE).read_text(encoding="utf-8"), folder)
        files.forget_lost(folder, list(stages), store)
        before = files.seconds_before(folder)
        road, outcomes = Pipeline(folder), []
        changed = road.changed()
        for name, stage in stages.items():
            command = pipeline.command_of(stage)
            # Once one has changed, DVC is asked of all: a step may change what the next one reads.
            done = run_step(road, folder, name, command, quiet=quiet) if changed else unchanged(name, command)
            outcomes.append(done if done.outcome == "ran" else replace(done, seconds=before.get(name)))
        walked = Road(folder, tuple(outcomes), files.results_of(folder, list(stages)))
        if changed or not walked.page.is_file():
            _tell(walked)
    return walked


def _tell(walked: Road) -> None:
    from mltool.reports.story_page import story_page

    report = story.report_of(walked.results, [step.to_json() for step in walked.steps])
    write_text(walked.page, story_page(report))
    write_json(walked.folder / files.RESULT, walked.to_json())


def _folder() -> Path:
    return find_project() / pipeline.FOLDER


def _text(plan: Plan) -> str:
    return pipeline.text_of(find_project(), pipeline.commands(plan.keys), plan.files)
