"""environment, requirements, cli: what the project needs, and how it is started."""

from __future__ import annotations

import re

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import first, inner
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, partly


@judges("environment")
def environment(evidence: Evidence) -> Finding:
    needs = evidence.requirements
    python, lock, files = needs.python, needs.lock, needs.files
    if not files and not lock and not python:
        return missing("no requirements, no `pyproject.toml` with dependencies, no `environment.yml`")
    facts = [python or "the version of Python is not stated"]
    lacks = [] if python else [""]
    if lock:
        unlocked = sorted(set(needs.declared) - lock[1])
        facts.append(f"`{lock[0]}` fixes {counted(len(lock[1]), 'package')}")
        facts += [f"but not {listed(unlocked)}"] if unlocked else []
        lacks += unlocked
    else:
        free = [one.name for one in needs.declared.values() if not one.is_limited]
        count = counted(len(needs.declared), "package")
        facts.append(f"{count} in {listed(files)}" if files else "no packages are listed")
        if not files or len(free) > len(needs.declared) / 2:
            facts.append(f"no lock, and any version will do of {listed(free)}" if files else "")
            lacks.append("")
    if needs.mistakes:
        facts.append(f"not readable: {listed(needs.mistakes)}")
        lacks.append("")
    return partly(*facts) if lacks else done(*facts)


@judges("requirements")
def requirements(evidence: Evidence) -> Finding:
    needs = evidence.requirements
    declared, undeclared = needs.declared, needs.undeclared
    places = [f"`{name}` ({at})" for name, at in sorted(undeclared.items())]
    if not declared:
        return missing("nothing is declared", f"imported: {listed(places)}" if places else "")
    count = f"{len(declared)} declared in {listed(needs.files)}"
    if places:
        return partly(count, f"imported but not declared: {listed(places)}")
    if not evidence.code.modules:
        return partly(count, "there is no source that imports them")
    if evidence.code.broken:
        return partly(count, f"not all sources can be read: {listed(evidence.code.broken)}")
    return done(count, f"every import of {counted(len(evidence.code.modules), 'source')} is among them")


@judges("cli")
def cli(evidence: Evidence) -> Finding:
    scripts = _entry_points(evidence)
    working = [name for name, target in scripts.items() if _leads_somewhere(evidence, target)]
    tasks = _task_files(evidence)
    if working or tasks:
        return done(f"pyproject.toml: command {listed([f'`{name}`' for name in working])}" if working else "", *tasks)
    if scripts:
        name, target = next(iter(scripts.items()))
        return partly(f"the command `{name}` leads to `{target}`, which is not there")
    parsers = evidence.code.where_called(
        "argparse.ArgumentParser", "typer.Typer", "typer.run", "fire.Fire", "tyro.cli", "hydra.main", "click.command"
    )
    parsers += [
        module.at(function.line)
        for module in evidence.code.working
        for function in module.functions
        if any(one.name in ("click.command", "click.group", "hydra.main") for one in function.decorators)
    ]
    if parsers:
        return partly(f"scripts with options ({listed(parsers)}), but no entry point and no task file")
    return missing("no entry point, no task file, no script with options")


def _entry_points(evidence: Evidence) -> dict[str, str]:
    if "pyproject.toml" not in evidence.project.files:
        return {}
    root = evidence.data.toml("pyproject.toml")
    found: dict[str, str] = {}
    for table in (inner(root, "project", "scripts"), inner(root, "tool", "poetry", "scripts")):
        if isinstance(table, dict):
            found.update({str(name): target for name, target in table.items() if isinstance(target, str)})
    return found


def _leads_somewhere(evidence: Evidence, target: str) -> bool:
    """Whether `package.module:function` is defined, or assigned, where it says."""
    name, _, attribute = target.partition(":")
    module = evidence.code.module_of(name)
    if module is None or name.rpartition(".")[2] not in (*module.path.removesuffix(".py").split("/"), "__init__"):
        return False
    top = attribute.partition(".")[0]
    defined = rf"\b(def|class|import|as)\s+{re.escape(top)}\b|^{re.escape(top)}\s*[:=]|\b{re.escape(top)},?$"
    return re.search(defined, evidence.project.text(module.path), re.MULTILINE) is not None


def _task_files(evidence: Evidence) -> list[str]:
    project, found = evidence.project, []
    for path in ("Makefile", "makefile", "justfile", "Justfile"):
        if path in project.files:
            recipes = re.findall(r"^([A-Za-z][\w.-]*)(?:\s[^:=\n]*)?:(?!=)", project.text(path), re.MULTILINE)
            found += [f"{path}: {listed(list(dict.fromkeys(recipes)))}"] if recipes else []
    for path in ("tasks.py", "noxfile.py", "dodo.py"):
        module = next((one for one in evidence.code.modules if one.path == path), None)
        tasks = [
            function.name
            for function in (module.functions if module else ())
            if any(one.name in ("invoke.task", "nox.session", "invoke.tasks.task") for one in function.decorators)
            or path == "dodo.py"
        ]
        found += [f"{path}: {listed(tasks)}"] if tasks else []
    for path in ("Taskfile.yml", "Taskfile.yaml"):
        entries = inner(first(evidence.data.yaml(path)), "tasks") if path in project.files else None
        found += [f"{path}: {listed(list(entries))}"] if isinstance(entries, dict) and entries else []
    return found
