"""What a project says that it needs: distributions, versions of Python, and locks."""

from __future__ import annotations

import ast
import configparser
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.code import Code
from mltool.stages.checklist.reading.data_files import DataFiles, first, inner, line_of
from mltool.stages.checklist.reading.import_names import comes_with, distributions_of, normalized

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "Pipfile.lock", "conda-lock.yml", "requirements.lock")
_CONDA_NAME = re.compile(r"^(?:[\w-]+::)?([\w.-]+)")


@dataclass(frozen=True, slots=True)
class Declared:
    name: str
    """Normalized, as on the package index."""
    at: str
    is_pinned: bool
    is_limited: bool
    """Whether not any version will do."""


class Requirements:
    def __init__(self, project: Project, data: DataFiles, code: Code) -> None:
        self._project, self._data, self._code = project, data, code
        self._mistakes: list[str] = []

    @property
    def mistakes(self) -> list[str]:
        """`file:line` and the text of every requirement that cannot be read."""
        self.declared  # noqa: B018  # reading them finds it out
        return list(dict.fromkeys(self._mistakes))

    @cached_property
    def declared(self) -> dict[str, Declared]:
        found: dict[str, Declared] = {}
        for at, text in self._texts():
            one = self._parsed(at, text)
            if one is not None:
                found.setdefault(one.name, one)
        return found

    @cached_property
    def files(self) -> list[str]:
        """Where requirements are declared."""
        return list(dict.fromkeys(at.partition(":")[0] for at, _ in self._texts()))

    def _parsed(self, at: str, text: str) -> Declared | None:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            self._mistakes.append(f"{at} `{text[:60]}`")
            return None
        pinned = requirement.url is not None or any(one.operator in ("==", "===") for one in requirement.specifier)
        return Declared(normalized(requirement.name), at, pinned, pinned or bool(requirement.specifier))

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Each requirement as it is written, with its place."""
        for path in self._project.named("pyproject.toml", "Pipfile"):
            if path.count("/") <= 1:
                root = self._data.toml(path)
                yield from (
                    (path, text) for text in (_of_pipfile(root) if path.endswith("Pipfile") else _of_pyproject(root))
                )
        seen: set[str] = set()
        for path in self._project.named("*requirements*.txt", "*requirements*.in", "requirements.lock"):
            yield from self._of_lines(path, seen)
        for folder in ("requirements", ".requirements"):
            for path in self._project.with_suffix(".txt", ".in"):
                if posixpath.basename(posixpath.dirname(path)) == folder:
                    yield from self._of_lines(path, seen)
        for path in self._project.named("environment*.yml", "environment*.yaml", "conda*.yml", "conda*.yaml"):
            yield from _of_conda(path, first(self._data.yaml(path)))
        if "setup.cfg" in self._project.files:
            yield from _of_setup_cfg(self._project.text("setup.cfg"))
        if "setup.py" in self._project.files:
            yield from _of_setup(self._project.text("setup.py"))

    def _of_lines(self, path: str, seen: set[str]) -> Iterator[tuple[str, str]]:
        if path in seen or path not in self._project.files:
            return
        seen.add(path)
        for number, line in enumerate(self._project.text(path).replace("\\\n", " ").splitlines(), 1):
            if not line.strip():
                continue
            line = re.split(r"(?:^|\s)#", line)[0].strip()
            line = re.split(r"\s--hash", line)[0].strip()
            other = re.match(r"(?:-r|--requirement)[ =]*(\S+)", line)
            if other:
                target = posixpath.normpath(posixpath.join(posixpath.dirname(path), other[1]))
                if target not in self._project.files:
                    self._mistakes.append(f"{path}:{number} `{line[:60]}` is not there")
                yield from self._of_lines(target, seen)
            elif (
                line and not line.startswith("-") and "://" not in line.partition(" @ ")[0] and not line.startswith(".")
            ):
                yield f"{path}:{number}", line

    @cached_property
    def python(self) -> str | None:
        """Where the version of Python is stated, and what it says."""
        root = self._data.toml("pyproject.toml") if "pyproject.toml" in self._project.files else {}
        for value in (
            inner(root, "project", "requires-python"), inner(root, "tool", "poetry", "dependencies", "python"),
        ):  # fmt: skip
            if isinstance(value, str):
                return f"pyproject.toml: Python {value}"
        for path in (".python-version", "runtime.txt"):
            text = self._project.text(path).strip() if path in self._project.files else ""
            if text:
                return f"{path}: Python {text.splitlines()[0].removeprefix('python-')}"
        for path in self._project.named("environment*.yml", "environment*.yaml"):
            for at, text in _of_conda(path, first(self._data.yaml(path)), with_python=True):
                if re.match(r"python\b", text) and len(text) > len("python"):
                    return f"{at}: {text}"
        for path in ("setup.py", "setup.cfg"):
            text = self._project.text(path) if path in self._project.files else ""
            match = re.search(r"python_requires\s*=\s*['\"]?([^'\"\n]+)", text)
            if match:
                return f"{path}: Python {match[1].strip()}"
        return None

    @cached_property
    def lock(self) -> tuple[str, set[str]] | None:
        """The lock and the distributions that it fixes."""
        for path in _LOCKS:
            if path in self._project.files:
                return path, self._locked(path)
        pinned = {one.name for one in self.declared.values() if one.is_pinned}
        return ("requirements that are all pinned", pinned) if pinned and len(pinned) == len(self.declared) else None

    def _locked(self, path: str) -> set[str]:
        if path.endswith(("uv.lock", "poetry.lock", "pdm.lock")):
            packages = self._data.toml(path).get("package", [])
            names = [one.get("name") for one in packages if isinstance(one, dict)] if isinstance(packages, list) else []
        elif path == "Pipfile.lock":
            root = self._data.json(path)
            names = [name for group in ("default", "develop") for name in inner(root, group) or ()]
        else:
            names = re.findall(r"(?:^|/|name: )([A-Za-z0-9_.-]+?)(?:==|-\d|$)", self._project.text(path), re.MULTILINE)
        return {normalized(name) for name in names if isinstance(name, str)}

    @cached_property
    def undeclared(self) -> dict[str, str]:
        """Imports that nothing declares, with the place of the first; optional ones may be missing."""
        declared = set(self.declared)
        found: dict[str, str] = {}
        for module in self._code.of_role("source", "test", "notebook"):
            if posixpath.basename(module.path) in ("setup.py", "noxfile.py", "tasks.py"):
                continue
            for one in module.imports:
                top = one.name.partition(".")[0]
                if one.is_optional or not top or top in sys.stdlib_module_names or top in found:
                    continue
                if self._code.is_own(one.name) or comes_with(one.name, declared):
                    continue
                if not declared & set(distributions_of(one.name)):
                    found[top] = module.at(one.line)
        return found


def _of_pyproject(root: Mapping[str, Any]) -> list[str]:
    groups: list[Any] = [inner(root, "project", "dependencies")]
    for table in (inner(root, "project", "optional-dependencies"), root.get("dependency-groups")):
        groups += list(table.values()) if isinstance(table, dict) else []
    groups.append(inner(root, "tool", "uv", "dev-dependencies"))
    pdm = inner(root, "tool", "pdm", "dev-dependencies")
    groups += list(pdm.values()) if isinstance(pdm, dict) else []
    texts = [text for group in groups if isinstance(group, list) for text in group if isinstance(text, str)]
    poetry = inner(root, "tool", "poetry") or {}
    tables = [
        inner(poetry, "dependencies"),
        inner(poetry, "dev-dependencies"),
        inner(root, "tool", "pixi", "dependencies"),
    ]
    group = inner(poetry, "group")
    tables += [inner(one, "dependencies") for one in group.values()] if isinstance(group, dict) else []
    return [*texts, *(text for table in tables if isinstance(table, dict) for text in _of_table(table))]


def _of_table(table: Mapping[str, Any]) -> Iterator[str]:
    """Names with versions as Poetry and pixi write them; what kind of limit it is does not matter here."""
    for name, value in table.items():
        version = value.get("version") if isinstance(value, dict) else value
        number = re.search(r"\d+(\.\d+)*", version) if isinstance(version, str) else None
        if name != "python":
            yield f"{name}>={number[0]}" if number else name


def _of_pipfile(root: Mapping[str, Any]) -> list[str]:
    return [name for group in ("packages", "dev-packages") for name in inner(root, group) or ()]


def _of_conda(path: str, root: Mapping[str, Any], *, with_python: bool = False) -> Iterator[tuple[str, str]]:
    entries = root.get("dependencies")
    for one in entries if isinstance(entries, list) else ():
        if isinstance(one, dict):
            pip = one.get("pip")
            for line in pip if isinstance(pip, list) else ():
                if isinstance(line, str) and not line.startswith("-"):
                    yield f"{path}:{line_of(line)}", line
        elif isinstance(one, str):
            name = _CONDA_NAME.match(one)
            if with_python:
                yield f"{path}:{line_of(one)}", one
            elif name and name[1] not in ("python", "pip"):
                conda = {"pytorch": "torch", "pytorch-cuda": "nvidia-cuda-runtime"}.get(name[1], name[1])
                yield f"{path}:{line_of(one)}", conda


def _of_setup_cfg(text: str) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    groups = [parser.get("options", "install_requires", fallback="")]
    if parser.has_section("options.extras_require"):
        groups += [value for _, value in parser.items("options.extras_require")]
    for group in groups:
        yield from (
            ("setup.cfg", line.strip()) for line in group.splitlines() if line.strip() and line.strip()[0] != "#"
        )


def _of_setup(text: str) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in ("install_requires", "extras_require", "tests_require"):
            for one in ast.walk(node.value):
                keys = [key for d in ast.walk(node.value) if isinstance(d, ast.Dict) for key in d.keys]
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and one not in keys:
                    yield f"setup.py:{one.lineno}", one.value
