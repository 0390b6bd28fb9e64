"""The deployment ledger: what is in service, what was, and where to go back to.

.mltool/deployments/<name>/deployment.json   the versions, the current one, and where it runs
.mltool/deployments/<name>/history.jsonl     everything that happened, one line an event, only ever appended to
.mltool/deployments/<name>/predictions/      the prediction logs of its workers
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.manifest import LaterVersionError
from mltool.artifacts.references import check_name
from mltool.artifacts.store import write_ignored
from mltool.artifacts.writing import write_json
from mltool.core import events
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from mltool.records.deployment import SCHEMA_VERSION, Deployment, Event, VersionState

_DEPLOYMENT, _HISTORY = "deployment.json", "history.jsonl"
_LOCK_TIMEOUT_S = 60


class Ledger:
    """The deployments of one project; `root` is that of its store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = root / "deployments"

    def names(self) -> list[str]:
        """Every deployment there ever was, sorted."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{_DEPLOYMENT}"))

    def folder(self, name: str) -> Path:
        """Where a deployment keeps what is its own, such as its logs."""
        return self._folder / check_name(name)

    def predictions(self, name: str) -> Path:
        """The folder of the prediction logs."""
        return self.folder(name) / "predictions"

    def log_of(self, deployment: Deployment) -> Path:
        """The folder that the current version of a deployment records its predictions in."""
        given = deployment.current.config.get("record_folder") if deployment.current else None
        return Path(str(given)) if given else self.predictions(deployment.name)

    def read(self, name: str) -> Deployment:
        """A deployment as it is now.

        Raises:
            ArtifactError: There is none of this name, or its record is damaged or of a later mltool.
        """
        path = self.folder(name) / _DEPLOYMENT
        try:
            data = json.loads(path.read_bytes())
            if data["schema_version"] != SCHEMA_VERSION:
                raise LaterVersionError(
                    f"`{path}` has schema version `{data['schema_version']}`", hint="upgrade mltool to read it"
                )
            return Deployment.from_json(data)
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactError(f"there is no deployment `{name}`", hint=self._known(name)) from None
        except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtifactError(
                f"`{path}` is damaged: {error}",
                hint=f"end what still runs and move `{path.parent}` away; `{_HISTORY}` in it tells what was deployed",
            ) from error

    @contextmanager
    def locked(self, name: str, *, target: str | None = None) -> Iterator[Deployment]:
        """Read a deployment, let the block change it, and write it; nothing is written if the block raises.

        Args:
            target: Where it runs; a deployment that is not there yet is begun.

        Raises:
            ArtifactError: There is none of this name, its record cannot be read, or another process keeps it locked.
            ConfigError: It runs somewhere else than `target`.
            MltoolError: The disk is full or the folder cannot be written.
        """
        folder = self.folder(name)
        if target is None:
            self.read(name)  # before a folder is made for a name that was mistyped
        else:
            self._expect_one_spelling(name)
        lock = FileLock(str(folder / ".lock"), timeout=_LOCK_TIMEOUT_S)
        try:
            with explained_disk_errors(self.root):
                folder.mkdir(parents=True, exist_ok=True)
                write_ignored(self.root)
                lock.acquire()
        except Timeout:
            raise ArtifactError(
                f"another process holds the deployment `{name}`", hint="wait for it, or end it, and try again"
            ) from None
        try:
            if target is not None and not (folder / _DEPLOYMENT).exists():
                deployment = Deployment(name, target)
            else:
                deployment = self.read(name)
            if target not in (None, deployment.target):
                raise ConfigError(
                    f"`{name}` is deployed to `{deployment.target}`, not to `{target}`", hint="choose another name"
                )
            yield deployment
            with explained_disk_errors(self.root):
                # First what happened: what holds now can be told from it, but not the other way round.
                _append(folder / _HISTORY, deployment.new_events)
                write_json(folder / _DEPLOYMENT, deployment.to_json())
        finally:
            lock.release()

    def history(self, name: str) -> list[Event]:
        """Everything that happened to a deployment, oldest first; a damaged line is warned of and left out.

        Raises:
            ArtifactError: There is no deployment of this name.
        """
        path = self.folder(name) / _HISTORY
        if not path.exists():
            return self.read(name).new_events
        happened = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                happened.append(Event(**json.loads(line)))
            except (TypeError, ValueError):
                events.warning(f"line {number} of `{path}` is damaged and left out")
        return happened

    def returnable(self) -> set[str]:
        """The digests of all models that some deployment runs or may return to.

        Raises:
            ArtifactError: The record of a deployment cannot be read.
        """
        return {version.model_digest for name in self.names() for version in self.read(name).returnable()}

    def expect_unused(self, model: Artifact) -> None:
        """Refuse to touch a model that answers somewhere, is about to, or is what a rollback would lead to.

        Raises:
            MltoolError: It is in use.
            ArtifactError: The record of a deployment cannot be read.
        """
        for name in self.names():
            deployment = self.read(name)
            for version in deployment.in_use():
                if version.model_digest == model.digest:
                    is_running = version.state in (VersionState.starting, VersionState.live)
                    raise MltoolError(
                        f"`{model.label}` is {'deployed as' if is_running else 'what to roll back to in'} `{name}`",
                        hint=f"`mltool deploy stop {name}` takes it out of service",
                    )

    def _known(self, name: str) -> str:
        names = self.names()
        close = difflib.get_close_matches(name, names, 1)
        if close:
            return f"did you mean `{close[0]}`?"
        return f"known are {', '.join(names[:8])}" if names else "make one with `mltool deploy local`"

    def _expect_one_spelling(self, name: str) -> None:
        for other in self.names():
            if other.casefold() == name.casefold() and other != name:
                raise ConfigError(f"`{name}` and `{other}` are one folder on some disks", hint=f"write it as `{other}`")


def _append(path: Path, happened: Sequence[Event]) -> None:
    text = "".join(json.dumps(asdict(event), ensure_ascii=False) + "\n" for event in happened)
    with path.open("ab+") as stream:
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":  # of a process that was killed while it wrote
                text = f"\n{text}"
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())
