"""YAML, TOML and JSON of a stranger: plain data or a problem, whatever stands in them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from mltool.stages.checklist.project import Project

if TYPE_CHECKING:
    import yaml

MAX_VALUES = 50_000
"""In one YAML file, with what its aliases stand for: nine lines of them can stand for a billion."""
_DEEP = "it is nested too deep"


class Written(str):
    """Text of a YAML file that knows its line."""

    __slots__ = ("line",)
    line: int

    @classmethod
    def of(cls, text: str, line: int) -> Written:
        made = cls(text)
        made.line = line
        return made


class DataFiles:
    """The files of a project that hold data; each is parsed once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.yaml = cache(self._yaml)
        self.toml = cache(self._toml)
        self.json = cache(self._json)

    def mapping(self, path: str) -> dict[str, Any]:
        """A YAML, TOML or JSON file that holds names with values; empty if it holds anything else."""
        suffix = path.rpartition(".")[2]
        found = self.toml(path) if suffix == "toml" else self.json(path) if suffix == "json" else first(self.yaml(path))
        return found if isinstance(found, dict) else {}

    def _yaml(self, path: str) -> list[Any]:
        """Each document: mappings, lists, and every scalar as the text that was written."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents: list[Any] = []
        try:
            nodes = yaml.compose_all(self.project.text(path), Loader=loader)
            documents.extend(_plain(node, iter(range(MAX_VALUES))) for node in nodes)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else path
            self.project.report(where, f"is no YAML: {getattr(error, 'problem', None) or 'it cannot be read'}")
        except (ValueError, RecursionError) as error:
            self.project.report(path, f"cannot be read: {_DEEP if isinstance(error, RecursionError) else error}")
        return documents

    def _toml(self, path: str) -> dict[str, Any]:
        try:
            return tomllib.loads(self.project.text(path))
        except tomllib.TOMLDecodeError as error:
            self.project.report(path, f"is no TOML: {error}")
        except RecursionError:
            self.project.report(path, f"cannot be read: {_DEEP}")
        return {}

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self.project.text(path) or "null")
        except ValueError as error:
            self.project.report(path, f"is no JSON: {error}")
        except RecursionError:
            self.project.report(path, f"cannot be read: {_DEEP}")
        return None


def _plain(node: yaml.Node | None, left: Iterator[int]) -> Any:
    """The values below a node.

    Raises:
        ValueError: There are more of them than `left`.
    """
    import yaml

    if next(left, None) is None:
        raise ValueError(f"with its aliases it holds more than {MAX_VALUES:,} values")
    value = getattr(node, "value", None)
    if node is None or not isinstance(value, list):
        return Written.of(str(value or ""), node.start_mark.line + 1 if node else 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(one, left) for one in value]
    plain: dict[Any, Any] = {}
    for key, one in value:
        name, entry = _plain(key, left), _plain(one, left)
        if name == "<<" and isinstance(entry, dict):
            plain = {**entry, **plain}
        elif isinstance(name, str):
            plain[name] = entry
    return plain


def first(documents: Any) -> dict[str, Any]:
    """The first document that holds names with values."""
    return next((one for one in documents if isinstance(one, dict)), {})


def line_of(value: Any) -> int:
    return value.line if isinstance(value, Written) else 1


def inner(value: Any, *path: str) -> Any:
    """What lies below these names; None if one of them is not there."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def every(value: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Everything that has one of these names, however deep."""
    waiting = [value]
    for _ in range(MAX_VALUES):
        if not waiting:
            return
        one = waiting.pop()
        if isinstance(one, dict):
            yield from ((name, entry) for name, entry in one.items() if name in names)
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
