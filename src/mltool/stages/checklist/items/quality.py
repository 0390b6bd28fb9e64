"""pep8, typing-docs, logging: how the sources are written."""

from __future__ import annotations

import re

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import every, inner
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, partly

MIN_ANNOTATED, MIN_DOCUMENTED = 0.7, 0.4
"""Shares of the public functions that must have all their types, and a docstring."""
MAX_PRINTS_A_LOG_CALL = 0.1
_LINTERS = {"ruff": "ruff", "flake8": "flake8", "pylint": "pylint", "pycodestyle": "pycodestyle"}
_FORMATTERS = ("ruff", "black", "yapf", "autopep8", "blue")
_LOGGING = re.compile(
    r"(^|\.)(logger|log|logging|_logger|LOGGER|LOG|loguru\.logger)\.(debug|info|warning|warn|error|exception|critical|success|log)$"
)


@judges("pep8")
def pep8(evidence: Evidence) -> Finding:
    linters, formatters = _configured(evidence)
    untidy = list(evidence.code.broken)
    for module in evidence.code.sources:
        untidy += [
            f"{module.path}:{number} ends in blanks" for number in _trailing_blanks(evidence.project.text(module.path))
        ][:1]
    if not linters and not formatters:
        return missing("no linter and no formatter is configured", listed(untidy))
    facts = [
        f"linter {listed(linters)}" if linters else "no linter",
        f"formatter {listed(formatters)}" if formatters else "no formatter",
    ]
    if untidy:
        return partly(*facts, f"not clean: {listed(untidy)}")
    if not linters or not formatters:
        return partly(*facts)
    enforced = _enforced(evidence)
    if not enforced:
        return partly(*facts, "nothing runs them: no workflow, no hook")
    return done(
        *facts,
        f"run by {listed(enforced)}",
        f"{counted(len(evidence.code.sources), 'source')} parsed, none with trailing blanks",
    )


def _configured(evidence: Evidence) -> tuple[list[str], list[str]]:
    project = evidence.project
    tables = inner(evidence.data.toml("pyproject.toml"), "tool") if "pyproject.toml" in project.files else {}
    tables = tables if isinstance(tables, dict) else {}
    linters = [f"{name} (pyproject.toml)" for name in _LINTERS if name in tables]
    formatters = [f"{name} (pyproject.toml)" for name in _FORMATTERS if name in tables]
    for path, tool in ((".flake8", "flake8"), ("ruff.toml", "ruff"), (".ruff.toml", "ruff"), (".pylintrc", "pylint")):
        if path in project.files:
            linters.append(f"{tool} ({path})")
            formatters += [f"{tool} ({path})"] if tool == "ruff" else []
    linters += [
        f"flake8 ({path})"
        for path in ("setup.cfg", "tox.ini")
        if path in project.files and re.search(r"^\[flake8\]", project.text(path), re.MULTILINE)
    ]
    hooks = (
        [str(value) for _, value in every(evidence.data.yaml(".pre-commit-config.yaml"), "id")]
        if ".pre-commit-config.yaml" in project.files
        else []
    )
    linters += [
        f"{one} (.pre-commit-config.yaml)" for one in hooks if one in ("ruff", "ruff-check", "flake8", "pylint")
    ]
    formatters += [f"{one} (.pre-commit-config.yaml)" for one in hooks if one in ("ruff-format", "black", "yapf")]
    return linters, formatters


def _enforced(evidence: Evidence) -> list[str]:
    steps = evidence.workflows.runs(r"\b(ruff|flake8|pylint|black|pre-commit)\b", evidence.workflows.on_changes())
    return [
        *(step.at for step in steps),
        *([".pre-commit-config.yaml"] if ".pre-commit-config.yaml" in evidence.project.files else []),
    ]


def _trailing_blanks(text: str) -> list[int]:
    """Lines that end in blanks, outside of texts in triple quotes."""
    found, inside = [], False
    for number, line in enumerate(text.split("\n"), 1):
        if not inside and line.rstrip("\r") != line.rstrip():
            found.append(number)
        inside ^= (line.count('"""') + line.count("'''")) % 2 == 1
    return found


@judges("typing-docs")
def typing_docs(evidence: Evidence) -> Finding:
    functions = [f for module in evidence.code.sources for f in module.functions if f.is_public]
    if not functions:
        return missing("there is no public function")
    annotated = sum(one.is_annotated for one in functions) / len(functions)
    documented = sum(one.is_documented for one in functions) / len(functions)
    facts = [
        f"all types: {annotated:.0%} of {counted(len(functions), 'public function')} (limit {MIN_ANNOTATED:.0%})",
        f"a docstring: {documented:.0%} (limit {MIN_DOCUMENTED:.0%})",
    ]
    if annotated >= MIN_ANNOTATED and documented >= MIN_DOCUMENTED:
        return done(*facts)
    return partly(*facts) if max(annotated, documented) >= 0.1 else missing(*facts)


@judges("logging")
def logging(evidence: Evidence) -> Finding:
    logged, printed = [], []
    for module in evidence.code.sources:
        logged += [module.at(call.line) for call in module.calls if _LOGGING.search(call.name)]
        logged += [
            module.at(call.line)
            for call in module.calls
            if call.name.startswith(("logging.", "loguru.logger."))
            and not _LOGGING.search(call.name)
            and call.name.rpartition(".")[2] in ("info", "warning", "error", "debug", "exception", "log")
        ]
        if not module.is_script:
            printed += [module.at(call.line) for call in module.calls if call.name == "print"]
    if not logged:
        return missing("no logger is used", f"{counted(len(printed), 'print')}: {listed(printed)}" if printed else "")
    facts = f"{counted(len(logged), 'call')} of a logger: {listed(logged, 1)}"
    if len(printed) > MAX_PRINTS_A_LOG_CALL * len(logged):
        return partly(facts, f"{counted(len(printed), 'print')} in what is imported: {listed(printed)}")
    return done(facts, f"{counted(len(printed), 'print')} in what is imported")
