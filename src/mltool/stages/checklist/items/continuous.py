"""coverage, ci, ci-matrix, ci-lint, pre-commit, cd-data, cd-model: what runs by itself."""

from __future__ import annotations

import re
from typing import Any

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import every, first, inner
from mltool.stages.checklist.reading.workflows import Workflow
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, partly

RUNS_TESTS = r"(^|[\s/;&|\"'-])(py\.?test|tox|nox)\b(?!\s*[=<>~]=)|\bunittest\b|\bpython -m pytest\b|\bcoverage run\b"
_LINTS = r"\b(ruff|flake8|pylint|black|pycodestyle)\b(?!\s*[=<>~]=)|pre-commit(/action| run)|astral-sh/ruff-action"
_DEPLOYS = (
    r"gcloud\s+(beta\s+)?(run|functions|ai|app)\s.*deploy|google-github-actions/deploy"
    r"|\bmltool\s+(deploy|promote|models promote)\b"
    r"|kubectl\s+apply|helm\s+upgrade|\baws\s.*deploy|\baz\s.*deploy|link_model|huggingface-cli\s+upload"
    r"|docker/build-push-action|docker\s+push"
)
_CACHES = re.compile(r"actions/cache$|setup-uv$|setup-micromamba$|cache-")


@judges("coverage")
def coverage(evidence: Evidence) -> Finding:
    project = evidence.project
    for path in project.named("coverage.xml"):
        match = re.search(r'<coverage[^>]*\bline-rate="([\d.]+)"', project.text(path)[:4000])
        if match:
            return done(f"{path}: {float(match[1]):.0%} of the lines")
    for path in project.named("coverage.json"):
        percent = inner(evidence.data.json(path), "totals", "percent_covered")
        if isinstance(percent, int | float):
            return done(f"{path}: {percent:.0f}% of the lines")
    steps = evidence.workflows.runs(
        r"--cov\b|\bcoverage\s+(run|report|xml)|codecov/codecov-action|coverallsapp", evidence.workflows.on_changes()
    )
    if steps:
        return done(f"measured by {steps[0].at}")
    tables = inner(evidence.data.toml("pyproject.toml"), "tool") if "pyproject.toml" in project.files else {}
    options = inner(tables, "pytest", "ini_options", "addopts")
    always = "--cov" in (" ".join(map(str, options)) if isinstance(options, list) else str(options))
    tests = evidence.workflows.runs(RUNS_TESTS, evidence.workflows.on_changes())
    if always and tests:
        return done(f"pyproject.toml: pytest always measures it, as in {tests[0].at}")
    configured: list[str] = [name for name in (".coveragerc", ".coverage") if name in project.files]
    configured += ["pyproject.toml"] if always or inner(tables, "coverage") is not None else []
    if configured or {"pytest-cov", "coverage"} & set(evidence.requirements.declared):
        return partly(
            f"{listed(configured) or 'declared as a requirement'}", "no figure, and no workflow that measures it"
        )
    return missing("no coverage is measured")


@judges("ci")
def ci(evidence: Evidence) -> Finding:
    workflows = evidence.workflows
    steps = workflows.runs(RUNS_TESTS, workflows.on_changes())
    if steps:
        return done(f"the tests run on every change: {listed([step.at for step in steps])}")
    if not workflows.all:
        return missing("no workflow")
    broken = [f"{one.path}: {mistake}" for one in workflows.all for mistake in one.mistakes[:1]]
    elsewhere = [step.at for step in workflows.runs(RUNS_TESTS)]
    if elsewhere:
        return partly(f"the tests run at {listed(elsewhere)}, but not on a push or a pull request")
    return partly(f"{listed([one.path for one in workflows.all])}: none runs the tests", listed(broken))


@judges("ci-matrix")
def ci_matrix(evidence: Evidence) -> Finding:
    on_changes = evidence.workflows.on_changes()
    several = [f"{one.path}: {_matrix(matrix)}" for one in on_changes for matrix in one.matrices if _matrix(matrix)]
    cached = [
        step.at
        for one in on_changes
        for step in one.steps
        if _CACHES.search(step.uses)
        or any("cache" in key and str(value) != "false" for key, value in step.inputs.items())
    ]
    if several and cached:
        return done(listed(several), f"cached at {listed(cached)}")
    if several or cached:
        return partly(
            listed(several) or "one system and version",
            f"cached at {listed(cached)}" if cached else "nothing is cached",
        )
    return missing("one system and version, and nothing is cached" if on_changes else "no workflow")


def _matrix(matrix: dict[str, Any]) -> str:
    axes = {
        name: values
        for name, values in matrix.items()
        if isinstance(values, list) and len(values) > 1 and name not in ("include", "exclude")
    }
    return ", ".join(f"{len(values)} of `{name}`" for name, values in axes.items())


@judges("ci-lint")
def ci_lint(evidence: Evidence) -> Finding:
    workflows = evidence.workflows
    steps = workflows.runs(_LINTS, workflows.on_changes())
    if steps:
        return done(f"{listed([step.at for step in steps])}")
    elsewhere = workflows.runs(_LINTS)
    if elsewhere:
        return partly(f"{listed([step.at for step in elsewhere])}, but not on a push or a pull request")
    return missing("no workflow lints")


@judges("pre-commit")
def pre_commit(evidence: Evidence) -> Finding:
    path = next(
        iter(p for p in (".pre-commit-config.yaml", ".pre-commit-config.yml") if p in evidence.project.files), None
    )
    if path is None:
        return missing("no `.pre-commit-config.yaml`")
    if path.endswith(".yml"):
        return partly(f"`{path}` is not read: pre-commit reads `.yaml`")
    repos = first(evidence.data.yaml(path)).get("repos")
    hooks, broken = [], []
    for repo in repos if isinstance(repos, list) else ():
        ids = [str(value) for _, value in every(inner(repo, "hooks") or [], "id")]
        name = str(inner(repo, "repo") or "")
        if not name or not ids or (name not in ("local", "meta", "builtin") and not inner(repo, "rev")):
            broken.append(name or "a repository without a name")
        hooks += ids
    if not hooks or broken:
        return partly(
            f"`{path}` has {counted(len(hooks), 'hook')}",
            f"without a version or hooks: {listed(broken)}" if broken else "",
        )
    return done(f"{path}: {counted(len(hooks), 'hook')}, {listed(hooks)}")


@judges("cd-data")
def cd_data(evidence: Evidence) -> Finding:
    found, near = [], []
    for workflow in evidence.workflows.valid:
        for event in ("push", "pull_request"):
            paths = inner(workflow.triggers, event, "paths")
            fitting = [str(one) for one in paths if _is_data(str(one))] if isinstance(paths, list) else []
            found += [f"{workflow.path}: `{one}`" for one in fitting]
    near = [
        step.at
        for step in evidence.workflows.runs(
            r"\bdvc\s+(pull|repro)\b|iterative/setup-(cml|dvc)|\bmltool\s+data\s+pull\b"
        )
    ]
    if found:
        return done(f"started by {listed(found)}")
    return (
        partly(f"data is fetched at {listed(near)}, but no change of data starts it")
        if near
        else missing("no workflow is started by data")
    )


def _is_data(pattern: str) -> bool:
    return (
        pattern.endswith((".dvc", "dvc.lock", "dvc.yaml"))
        or re.match(r"\.?(/)?data(/|$)|\.mltool/refs/dataset", pattern) is not None
    )


@judges("cd-model")
def cd_model(evidence: Evidence) -> Finding:
    triggered = [one for one in evidence.workflows.valid if _by_model(one)]
    steps = evidence.workflows.runs(_DEPLOYS, triggered)
    if steps:
        return done(f"deployed when {_by_model(triggered[0])}: {listed([step.at for step in steps])}")
    if any("repository_dispatch" in one.triggers for one in triggered):
        return partly(f"a dispatch starts {listed([one.path for one in triggered])}, which deploys nothing")
    by_hand = [step.at for step in evidence.workflows.runs(_DEPLOYS)]
    if by_hand:
        return partly(f"deployed at {listed(by_hand)}, but no new model starts it")
    return missing("no workflow is started by a model")


def _by_model(workflow: Workflow) -> str:
    """What starts it that stands for a new model; empty if nothing does."""
    if "repository_dispatch" in workflow.triggers:
        return "a dispatch comes"
    if inner(workflow.triggers, "push", "tags"):
        return "a tag is pushed"
    paths = inner(workflow.triggers, "push", "paths")
    models = (
        [str(one) for one in paths if re.search(r"model|\.mltool/refs", str(one))] if isinstance(paths, list) else []
    )
    return f"`{models[0]}` changes" if models else ""
