"""git, access, data-version, uploaded: what the repository holds, and who may."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.git import MAX_COMMITS, Git, blob_name
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, ask, counted, done, listed, missing, partly

_SOURCES = (".py", ".ipynb", ".toml", ".yaml", ".yml", ".cfg", ".sh", ".dvc")
_MAX_COMPARED = 20_000


@judges("git")
def git(evidence: Evidence) -> Finding:
    repository = evidence.git
    if repository is None:
        return missing("there is no `.git`")
    count, people = len(repository.commits), len(repository.people)
    if not count:
        return partly("the repository has no commit that can be read")
    more = " or more" if count == MAX_COMMITS else ""
    facts = [f"{counted(count, 'commit')}{more} by {counted(people, 'person', 'people')}"]
    if repository.default_branch:
        facts.append(f"branch `{repository.default_branch}`")
    facts += [f"remote `{name}` at {url}" for name, url in repository.remotes.items()][:1]
    lacks = [] if repository.remotes else ["no remote"]
    lacks += [] if people else ["no commit by a person"]
    lacks += [] if repository.default_branch else ["no branch is checked out"]
    return partly(*facts, *lacks) if lacks else done(*facts)


@judges("access")
def access(evidence: Evidence) -> Finding:
    people = evidence.git.people if evidence.git else {}
    if len(people) > 1:
        return done(f"commits by {listed(sorted(set(people.values())))}")
    if people:
        return ask(f"all commits are by {next(iter(people.values()))}: can the others write too?")
    return ask("there is no history to see it in: can every member write?")


@judges("data-version")
def data_version(evidence: Evidence) -> Finding:
    dvc = evidence.dvc
    hashed = [*dvc.tracked, *dvc.locked]
    remotes = [f"remote `{name}` at {url}" for name, url in dvc.remotes.items()][:1]
    if hashed and remotes:
        return done(listed(hashed), *remotes)
    if hashed:
        return partly(listed(hashed), "no remote in `.dvc/config`")
    if remotes or any(path.startswith(".dvc/") for path in evidence.project.files):
        return partly(*(remotes or ["`.dvc/` is there"]), "no `.dvc` file or `dvc.lock` with a hash")
    attributes = evidence.project.text(".gitattributes") if ".gitattributes" in evidence.project.files else ""
    if "filter=lfs" in attributes:
        return partly("Git LFS in `.gitattributes`: versions, but not of data apart from the code")
    return missing("no `.dvc` file, no `dvc.lock`")


@judges("uploaded")
def uploaded(evidence: Evidence) -> Finding:
    repository = evidence.git
    if repository is None:
        return missing("there is no `.git`")
    if not repository.remotes:
        return missing("there is no remote")
    if repository.upstream is None:
        return partly(
            f"the branch `{repository.branch or 'HEAD'}` has not been pushed to {listed(list(repository.remotes))}"
        )
    name, commit = repository.upstream
    pushed = repository.files_of(commit)
    if pushed is None:
        return ask(f"what `{name}` holds is not all here, as in a partial clone")
    differing = _differing(evidence.project, pushed, _ignored(evidence.project, repository))
    if differing:
        return partly(f"not in `{name}` as they are here: {listed(differing)}")
    if commit != repository.head:
        return partly(f"every source is as in `{name}`, but the branch is at another commit")
    return done(f"every source is as in `{name}`, as far as it was fetched")


def _differing(project: Project, pushed: dict[str, str], ignored: list[str]) -> list[str]:
    """Sources that were not pushed, or not as they are now."""
    found = []
    for path in project.with_suffix(*_SOURCES)[:_MAX_COMPARED]:
        if project.files[path].is_link or _is_ignored(path, ignored):
            continue
        content = project.bytes_of(path)
        if content is None:
            continue
        # On Windows, git may keep other ends of lines than the work tree has.
        if pushed.get(path) not in (blob_name(content), blob_name(content.replace(b"\r\n", b"\n"))):
            found.append(path)
    return sorted(found)


def _ignored(project: Project, repository: Git) -> list[str]:
    """Patterns of every `.gitignore` that take files away; those that bring some back are left out."""
    patterns = []
    for path in project.named(".gitignore"):
        folder = path.removesuffix(".gitignore")
        for line in project.text(path).splitlines():
            pattern = line.strip().rstrip("/")
            if pattern and pattern[0] not in "#!":
                anchored = "/" in pattern
                patterns.append(f"{folder}{pattern.lstrip('/')}" if anchored else f"{folder}**/{pattern}")
    return patterns


def _is_ignored(path: str, patterns: list[str]) -> bool:
    parts = path.split("/")
    ways = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return any(
        fnmatchcase(way, one) or fnmatchcase(f"/{way}", re.sub(r"\*\*/", "*/", one)) for one in patterns for way in ways
    )
