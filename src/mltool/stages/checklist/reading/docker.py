"""Dockerfiles: what they copy, install and start."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch

from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.commands import has_words_in_order

_WORDS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}  # fmt: skip
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_INSTALLERS = {"pip", "pip3", "uv", "poetry", "pipenv", "conda", "mamba", "micromamba", "pdm", "pixi"}
_INSTALL = {"install", "sync", "add", "create", "update"}


@dataclass(slots=True)
class Dockerfile:
    path: str
    mistakes: list[str] = field(default_factory=list)
    """`file:line` and what is wrong there."""
    copied: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    has_entry_point: bool = False

    def installs(self) -> bool:
        parts = (part for command in self.commands for part in re.split(r"[&|;]", command))
        return any(has_words_in_order(part, _INSTALLERS, _INSTALL) for part in parts)


def dockerfiles(project: Project) -> list[Dockerfile]:
    paths = project.named("Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile", "Containerfile")
    wanted = [path for path in paths if not path.endswith((".dockerignore", ".j2", ".template", ".md", ".py"))]
    return [read(project, path) for path in sorted(set(wanted))]


def read(project: Project, path: str) -> Dockerfile:
    found = Dockerfile(path)
    has_base = False
    for line, word, rest in _instructions(project.text(path)):
        if word not in _WORDS:
            found.mistakes.append(f"{path}:{line} has no instruction `{word[:20]}`")
        elif word == "FROM":
            has_base, found.has_entry_point = True, False
        elif not has_base and word != "ARG":
            found.mistakes.append(f"{path}:{line} stands before `FROM`")
        elif word in ("CMD", "ENTRYPOINT"):
            found.has_entry_point = True
        elif word == "RUN":
            found.commands.append(rest)
        elif word in ("COPY", "ADD"):
            for source in _sources(rest):
                found.copied.append(source)
                if not _exists(project, path, source):
                    found.mistakes.append(f"{path}:{line} copies `{source}`, which is not there")
    if not has_base:
        found.mistakes.append(f"{path} has no `FROM`")
    return found


def _instructions(text: str) -> list[tuple[int, str, str]]:
    """Line, word in capitals, and the rest with its continued lines joined."""
    found: list[tuple[int, str, str]] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [line]
        while parts[-1].rstrip().endswith("\\"):
            parts[-1] = parts[-1].rstrip()[:-1]
            following = next(lines, None)
            if following is None:
                break
            parts.append("" if following[1].lstrip().startswith("#") else following[1])
            if not parts[-1].strip() and following[1].strip():
                parts[-1] = "\\"  # a comment within a command: it goes on
        word, _, rest = " ".join(parts).strip().partition(" ")
        end = _HEREDOC.search(rest) if word.upper() in ("RUN", "COPY", "ADD") else None
        if end:
            body = []
            for _, inner in lines:
                if inner.strip() == end[1]:
                    break
                body.append(inner)
            rest = "\n".join([rest, *body]) if word.upper() == "RUN" else f"<<{end[1]}"
        found.append((number, word.upper(), rest.strip()))
    return found


def _sources(rest: str) -> list[str]:
    """What an instruction copies out of the project; nothing for another stage, an address or an inline file."""
    try:
        words = [part.strip('",[]') for part in shlex.split(rest.replace(",", " ") if rest.startswith("[") else rest)]
    except ValueError:
        return []
    if any(word.startswith(("--from", "<<")) for word in words):
        return []
    words = [word for word in words if word and not word.startswith("--")]
    return [word for word in words[:-1] if "$" not in word and "://" not in word and not word.startswith("git@")]


def _exists(project: Project, dockerfile: str, source: str) -> bool:
    """Whether it lies in the project, or beside the Dockerfile, whichever the build is given."""
    for base in ("", posixpath.dirname(dockerfile)):
        path = posixpath.normpath(posixpath.join(base, source.lstrip("/"))).rstrip("/")
        if path in (".", base) or path in project.files or path in project.folders:
            return True
        if any(mark in path for mark in "*?[") and any(
            fnmatch(one, path) for one in (*project.files, *project.folders)
        ):
            return True
    # An empty folder, or something that is no source, such as a wheel in `dist` or a model in `.mltool`.
    return os.path.lexists(project.root / source.lstrip("/")) and ".." not in source
