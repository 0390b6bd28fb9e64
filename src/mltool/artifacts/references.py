"""Names: small pointer files, committed with the project, from `name@N` to a digest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.writing import write_json
from mltool.core.errors import ArtifactError, ConfigError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever ending it has."""
LATEST = "latest"
"""The newest artifact of a kind, whatever its name; no name of its own."""
_LOCK_TIMEOUT_S = 60
_RESTORE = "restore it, for example with `git checkout`"


@dataclass(frozen=True, slots=True)
class Version:
    version: int
    digest: str
    created_utc: str


def check_name(name: str) -> str:
    """Return `name` if it can be a file name on every system.

    Raises:
        ConfigError: It cannot.
    """
    if name == LATEST:
        raise ConfigError(f"`{name}` cannot be a name", hint="it means the newest artifact; choose another")
    if not _NAME.fullmatch(name) or _DEVICE.fullmatch(name):
        raise ConfigError(
            f"`{name}` cannot be a name",
            hint="use letters, digits, `.`, `_` and `-`, and begin and end with a letter or digit",
        )
    return name


class References:
    """The names of one store; each kind of artifact has names of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self, kind: ArtifactKind, name: str) -> list[Version]:
        """All versions of a name, oldest first; empty if there is no such name.

        Raises:
            ArtifactError: The pointer file is damaged.
        """
        return self._read(kind, name)[1]

    def _read(self, kind: ArtifactKind, name: str) -> tuple[int, list[Version]]:
        """The highest number that was ever given, and the versions that are left."""
        path = self._path(kind, name)
        try:
            data = json.loads(path.read_bytes())
            versions = [Version(**entry) for entry in data["versions"]]
            last = data["last"]
        except FileNotFoundError:
            return 0, []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"`{path}` is damaged: {error}", hint=_RESTORE) from error
        typed = ((v.version, v.digest, v.created_utc) for v in versions)
        whole = all(isinstance(n, int) and isinstance(d, str) and isinstance(c, str) for n, d, c in typed)
        if not whole or not isinstance(last, int):
            raise ArtifactError(f"`{path}` is damaged: a version is not a number, a digest and a time", hint=_RESTORE)
        # Two branches of a repository may have been merged by hand: the highest number counts, wherever it stands.
        return max([last, *(version.version for version in versions)]), versions

    def names(self, kind: ArtifactKind) -> list[str]:
        """The names that have a version left, sorted."""
        return [name for name in self.stems(kind) if self.versions(kind, name)]

    def stems(self, kind: ArtifactKind) -> list[str]:
        """The names that have a pointer file, sorted; it may be damaged, or have no version left."""
        return sorted(path.stem for path in (self.folder / kind.value).glob("*.json"))

    def all(self, kind: ArtifactKind) -> Iterator[tuple[str, Version]]:
        """Every `name@N` of a kind with its version, by name and then by age."""
        for name in self.names(kind):
            for version in self.versions(kind, name):
                yield f"{name}@{version.version}", version

    def add(self, kind: ArtifactKind, name: str, digest: str, created_utc: str) -> str:
        """Give a digest the next version of a name and return `name@N`; a digest that has one keeps it.

        Raises:
            ArtifactError: Another process holds the names for more than a minute.
        """
        check_name(name)
        path = self._path(kind, name)
        for other in self.stems(kind):
            if other.casefold() == name.casefold() and other != name:
                raise ConfigError(f"`{name}` and `{other}` are one file on some disks", hint=f"write it as `{other}`")
        with explained_disk_errors(self.folder.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self.locked():
            last, versions = self._read(kind, name)
            for version in versions:
                if version.digest == digest:  # made once more: it is the latest again
                    newest = [replace(v, created_utc=created_utc) if v is version else v for v in versions]
                    self._write(path, last, newest)
                    return f"{name}@{version.version}"
            self._write(path, last + 1, [*versions, Version(last + 1, digest, created_utc)])
        return f"{name}@{last + 1}"

    def remove(self, kind: ArtifactKind, digest: str) -> list[str]:
        """Take every name from a digest and return those it had; their numbers are never given again.

        Raises:
            ArtifactError: Another process holds the names for more than a minute.
        """
        removed = []
        with self.locked():
            for name in self.names(kind):
                last, versions = self._read(kind, name)
                kept = [version for version in versions if version.digest != digest]
                removed += [f"{name}@{v.version}" for v in versions if v.digest == digest]
                if len(kept) < len(versions):
                    self._write(self._path(kind, name), last, kept)
        return removed

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from naming, or deleting what has no name, until the block ends.

        Raises:
            ArtifactError: Another process holds the names for more than a minute.
        """
        lock = FileLock(str(self.folder / ".lock"), timeout=_LOCK_TIMEOUT_S, is_singleton=True)  # may be held already
        try:
            with explained_disk_errors(self.folder.parent), lock:
                yield
        except Timeout:
            raise ArtifactError(
                f"another process holds the names in `{self.folder}`", hint="wait for it, or end it, and try again"
            ) from None

    def _path(self, kind: ArtifactKind, name: str) -> Path:
        return self.folder / kind.value / f"{name}.json"

    @staticmethod
    def _write(path: Path, last: int, versions: list[Version]) -> None:
        write_json(path, {"last": last, "versions": [asdict(version) for version in versions]})
