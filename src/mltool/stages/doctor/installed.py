"""What is installed, and what of it wants what, as the distributions themselves say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = "mltool"


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that what is installed does not meet."""

    needed_by: str
    requirement: Requirement
    installed: str | None

    def said(self) -> str:
        wants = f"`{self.needed_by}` needs {self.requirement.name}{self.requirement.specifier}"
        return f"{wants}, but {self.installed} is installed" if self.installed else f"{wants}, which is not installed"

    def mended(self) -> str:
        return f'pip install "{self.requirement.name}{self.requirement.specifier}"'


class Installed:
    """The distributions that this Python sees; each is read once."""

    def __init__(self) -> None:
        self._found: dict[str, Distribution | None] = {}
        self._wanted: dict[str, tuple[Requirement, ...]] = {}

    def get(self, name: str) -> Distribution | None:
        name = canonicalize_name(name)
        if name not in self._found:
            try:
                self._found[name] = distribution(name)
            except PackageNotFoundError:
                self._found[name] = None
        return self._found[name]

    def version(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else found.version

    def requirements(self, name: str) -> tuple[Requirement, ...]:
        """Everything that a distribution may want, whatever its markers say."""
        name = canonicalize_name(name)
        if name not in self._wanted:
            found = self.get(name)
            texts = (found.requires if found is not None else None) or []
            self._wanted[name] = tuple(one for one in map(_parsed, texts) if one is not None)
        return self._wanted[name]

    @cached_property
    def core(self) -> frozenset[str]:
        """What every installation of mltool has."""
        return frozenset(canonicalize_name(one.name) for one in self.requirements(ROOT) if _applies(one))

    def added_by(self, extra: str) -> list[Requirement]:
        """What an extra of mltool adds, with the extras that it takes in."""
        found: list[Requirement] = []
        for one in self.requirements(ROOT):
            if _applies(one, [extra]) and not _applies(one):
                is_own = canonicalize_name(one.name) == ROOT
                found += [inner for other in sorted(one.extras) for inner in self.added_by(other)] if is_own else [one]
        return found

    def closure(self, name: str, extras: Iterable[str] = ()) -> dict[str, list[Requirement]]:
        """What each distribution wants that `name` needs, directly or not, with the extras that are asked of it."""
        asked: dict[str, set[str]] = {canonicalize_name(name): set(extras)}
        found: dict[str, list[Requirement]] = {}
        waiting = list(asked)
        while waiting:
            current = waiting.pop()
            found[current] = [one for one in self.requirements(current) if _applies(one, sorted(asked[current]))]
            for one in found[current]:
                other = canonicalize_name(one.name)
                is_new = other not in asked or not one.extras <= asked[other]
                asked.setdefault(other, set()).update(one.extras)
                if is_new and self.get(other) is not None:
                    waiting.append(other)
        return found

    def unmet(self, name: str, extras: Iterable[str] = ()) -> list[Unmet]:
        """What a distribution needs, and what that needs, as far as it is not met."""
        wanted = self.closure(name, extras).items()
        return [problem for needed_by, wants in wanted for problem in self._unmet(needed_by, wants)]

    def unmet_of_any(self, wanted: Iterable[str]) -> list[Unmet]:
        """What anything that is installed needs of the distributions `wanted`, where these are of another version."""
        names, found = set(wanted), []
        for name in sorted({str(one.metadata["Name"]) for one in distributions() if one.metadata["Name"]}):
            wants = [one for one in self.requirements(name) if canonicalize_name(one.name) in names and _applies(one)]
            found += [problem for problem in self._unmet(name, wants) if problem.installed is not None]
        return found

    def _unmet(self, needed_by: str, wants: Iterable[Requirement]) -> Iterator[Unmet]:
        for one in wants:
            installed = self.version(one.name)
            if installed is None or not one.specifier.contains(installed, prereleases=True):
                yield Unmet(needed_by, one, installed)


def _applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": one}) for one in ("", *extras))


def _parsed(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:  # of a distribution that was made long ago
        return None
