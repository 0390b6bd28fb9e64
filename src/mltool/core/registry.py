"""Families of choices: one file is one choice, and its name is the name that users write."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Generic, TypeVar, cast

from mltool.core.errors import ConfigError

ChoiceT = TypeVar("ChoiceT", bound=Callable[..., Any])


class Family(Generic[ChoiceT]):
    """The choices of one kind, such as the runtimes; names are known without importing any of them.

    A built-in choice is a module of `package` that defines `attribute`. Another distribution adds one by an entry
    point in the group `package`, whose name is the choice and whose value is the object.

    Args:
        what: The kind of choice in words, for messages.
        package: Import path of the package whose modules are the choices; modules with a leading `_` are helpers.
        attribute: What each module defines.
    """

    def __init__(self, what: str, package: str, attribute: str) -> None:
        self.what, self.package, self.attribute = what, package, attribute

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({*self.built_in(), *(point.name for point in _points(self.package))}))

    def built_in(self) -> tuple[str, ...]:
        spec = importlib.util.find_spec(self.package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return tuple(sorted(m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_")))

    def load(self, name: str) -> ChoiceT:
        """Import one choice.

        Raises:
            ConfigError: There is no such choice.
        """
        for point in _points(self.package):
            if point.name == name:
                return cast(ChoiceT, point.load())
        if name not in self.names():
            close = difflib.get_close_matches(name, self.names(), 1)
            known = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(self.names())}"
            raise ConfigError(f"unknown {self.what} `{name}`", hint=known)
        return cast(ChoiceT, getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute))


@cache
def _points(group: str) -> EntryPoints:
    """Found once: every distribution that is installed is read for them, in 40 ms."""
    return entry_points(group=group)
