"""Continuous integration: GitHub's workflows and GitLab's pipeline, what starts them and what they run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.commands import MAX_LINE, has_words_in_order, short_lines
from mltool.stages.checklist.reading.data_files import DataFiles, first, line_of

_CALLED_FILE = re.compile(r"(?:^|\s)(?:\./|bash |sh )?((?:[\w.-]+/)*[\w.-]+)(?=\s|$)")
_CALLED_TARGET = re.compile(r"\b(make|tox|nox|invoke|just|task)\b((?:[ \t]+-{1,2}\w\S*)*[ \t]*)([\w-]*)")
_INSTALLERS = {
    "pip", "pip3", "conda", "mamba", "micromamba", "apt", "apt-get", "brew", "uv", "poetry", "pdm", "pipx", "npm",
}  # fmt: skip
_INSTALL = {"install", "add", "sync"}
_DEPENDENCIES = re.compile(r"\bdeps\s*=")
_TARGET_FILES = {
    "make": ("Makefile", "makefile", "GNUmakefile"), "tox": ("tox.ini", "pyproject.toml", "setup.cfg"),
    "nox": ("noxfile.py",), "invoke": ("tasks.py",), "just": ("justfile", "Justfile"), "task": ("Taskfile.yml",),
}  # fmt: skip
_GITLAB_WORDS = {"stages", "variables", "default", "include", "image", "cache", "services", "workflow", "before_script"}


@dataclass(frozen=True, slots=True)
class Step:
    path: str
    line: int
    uses: str
    """Of an action, without its version."""
    run: str
    """What the shell is given."""
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def at(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Workflow:
    path: str
    triggers: dict[str, Any]
    steps: tuple[Step, ...]
    matrices: tuple[dict[str, Any], ...] = ()
    mistakes: tuple[str, ...] = ()
    """Why it would not run."""

    @property
    def is_valid(self) -> bool:
        return not self.mistakes

    def runs_on_changes(self) -> bool:
        return bool({"push", "pull_request", "merge_request", "pull_request_target"} & set(self.triggers))


class Workflows:
    def __init__(self, project: Project, data: DataFiles) -> None:
        self._project = project
        paths = [p for p in project.with_suffix(".yml", ".yaml") if re.fullmatch(r"\.github/workflows/[^/]+", p)]
        self.all = [_github(path, first(data.yaml(path))) for path in sorted(paths)]
        if ".gitlab-ci.yml" in project.files:
            self.all.append(_gitlab(first(data.yaml(".gitlab-ci.yml"))))

    @property
    def valid(self) -> list[Workflow]:
        return [workflow for workflow in self.all if workflow.is_valid]

    def on_changes(self) -> list[Workflow]:
        return [workflow for workflow in self.valid if workflow.runs_on_changes()]

    def runs(self, pattern: str, among: list[Workflow] | None = None) -> list[Step]:
        """The steps whose action or commands fit, also by a script, make or tox that they call."""
        fits = re.compile(pattern)
        return [
            step
            for workflow in (self.valid if among is None else among)
            for step in workflow.steps
            if any(fits.search(text) for text in self._texts(step))
        ]

    def _texts(self, step: Step) -> Iterator[str]:
        run = short_lines(step.run)
        yield step.uses[:MAX_LINE]
        yield _commands(run)
        for tool, target in dict.fromkeys((tool, target) for tool, _, target in _CALLED_TARGET.findall(run)):
            for name in _TARGET_FILES[tool]:
                if name in self._project.files:
                    text = self._project.text(name)
                    yield _commands(_target(text, target) if tool == "make" else text)
        for path in dict.fromkeys(_CALLED_FILE.findall(run)):
            file = self._project.files.get(path)
            if file is not None and file.suffix in ("", ".sh", ".bash") and file.size_bytes < 100_000:
                yield _commands(self._project.text(path))


def _commands(text: str) -> str:
    """What a shell runs, without comments and without what only installs, such as `pip install pytest`."""
    lines = (line for line in short_lines(text).splitlines() if not line.lstrip().startswith("#"))
    parts = (part for line in lines for part in re.split(r"&&|\|\||;", line))
    return "\n".join(part for part in parts if not _only_installs(part))


def _only_installs(command: str) -> bool:
    return has_words_in_order(command, _INSTALLERS, _INSTALL) or _DEPENDENCIES.search(command) is not None


def _target(makefile: str, target: str) -> str:
    """The recipe of a target and of what it needs first, without going further."""
    recipes = dict(re.findall(r"^([\w.-]+)\s*:[^=\n]*\n((?:\t.*\n?|\n)*)", makefile + "\n", re.MULTILINE))
    needs = dict(re.findall(r"^([\w.-]+)\s*:([^=\n]*)$", makefile, re.MULTILINE))
    names = [target, *needs.get(target, "").split()] if target else list(recipes)[:1]
    return "\n".join(recipes.get(name, "") for name in names)


def _github(path: str, root: dict[str, Any]) -> Workflow:
    mistakes: list[str] = []
    on = root.get("on")
    triggers = on if isinstance(on, dict) else {name: {} for name in (on if isinstance(on, list) else [on]) if name}
    jobs = root.get("jobs")
    if not triggers:
        mistakes.append("nothing starts it (`on`)")
    if not isinstance(jobs, dict) or not jobs:
        mistakes.append("it has no jobs")
        jobs = {}
    steps: list[Step] = []
    matrices = []
    for name, job in jobs.items():
        if not isinstance(job, dict) or not ("uses" in job or (job.get("runs-on") and job.get("steps"))):
            mistakes.append(f"the job `{name}` has no machine (`runs-on`) or no steps")
            continue
        strategy = job.get("strategy")
        matrix = strategy.get("matrix") if isinstance(strategy, dict) else None
        if isinstance(matrix, dict):
            matrices.append(matrix)
        entries = job.get("steps") if isinstance(job.get("steps"), list) else []
        if "uses" in job:
            steps.append(Step(path, line_of(job["uses"]), str(job["uses"]), "", {}))
        for entry in entries or ():
            if not isinstance(entry, dict) or not ({"uses", "run"} & set(entry)):
                mistakes.append(f"a step of `{name}` does nothing")
                continue
            text = entry.get("run", entry.get("uses"))
            inputs = entry.get("with")
            steps.append(
                Step(
                    path,
                    line_of(text),
                    str(entry.get("uses", "")).partition("@")[0],
                    str(entry.get("run", "")),
                    inputs if isinstance(inputs, dict) else {},
                )
            )
    return Workflow(path, dict(triggers), tuple(steps), tuple(matrices), tuple(mistakes))


def _gitlab(root: dict[str, Any]) -> Workflow:
    path = ".gitlab-ci.yml"
    jobs = [job for name, job in root.items() if name not in _GITLAB_WORDS and isinstance(job, dict)]
    lines = [line for job in jobs for line in _lines(job.get("script"))]
    steps = tuple(Step(path, line_of(line), "", str(line)) for line in lines)
    mistakes = () if steps else ("no job has a script",)
    matrices = tuple(
        one
        for job in jobs
        if isinstance(parallel := job.get("parallel"), dict)
        for one in parallel.get("matrix") or ()
        if isinstance(one, dict)
    )
    return Workflow(path, {"push": {}, "merge_request": {}}, steps, matrices, mistakes)


def _lines(script: Any) -> list[Any]:
    return script if isinstance(script, list) else [script] if script else []
