"""A training run on disk: what it was started with, how far it got, and what came of it."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from mltool.artifacts import digest
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json
from mltool.core.errors import MltoolError
from mltool.modeling.training import checkpoint
from mltool.stages.train.config import TrainJob

_FILE, _LOCK = "run.json", ".lock"


@dataclass(slots=True)
class Run:
    """One training run.

    Attributes:
        artifact: Digest of the model that came of it; None while it is unfinished.
        memory: Decisions that a resumed run must take again, such as the precision that was measured.
    """

    folder: Path
    key: str
    artifact: str | None
    memory: dict[str, Any]
    _lock: BaseFileLock | None = None

    @property
    def id(self) -> str:
        return self.folder.name

    def remembered(self, name: str, decide: Callable[[], Any]) -> Any:
        """The decision of that name, taken once and kept for when the run is resumed."""
        if name not in self.memory:
            self.memory[name] = decide()
            self._write()
        return self.memory[name]

    def hold(self) -> bool:
        """Keep other processes from resuming the run; False if one of them is at it."""
        lock = FileLock(str(self.folder / _LOCK), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._lock = lock
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let go of the run when the block ends."""
        try:
            yield
        finally:
            if self._lock is not None:
                self._lock.release()

    def finish(self, artifact: str) -> None:
        self.artifact = artifact
        self._write()
        for file in checkpoint.FILES:
            (self.folder / file).unlink(missing_ok=True)

    def _write(self) -> None:
        write_json(self.folder / _FILE, {"key": self.key, "artifact": self.artifact, "memory": self.memory})


def new_run(store: Store, key: str) -> Run:
    """A run that nobody else can resume, because it is held."""
    now = datetime.datetime.now(datetime.UTC)
    folder = store.runs / f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    with explained_disk_errors(store.root):
        folder.mkdir(parents=True)
        run = Run(folder, key, None, {})
        run.hold()
        run._write()
    return run


def unfinished_run(store: Store, key: str) -> Run | None:
    """The newest run with this key that wrote a checkpoint and came to no end, held.

    Raises:
        MltoolError: Another process is at it.
    """
    for run in _runs(store, key):
        if run.artifact is None and any((run.folder / file).exists() for file in checkpoint.FILES):
            if not run.hold():
                raise MltoolError(f"another process is training run `{run.id}`", hint="wait for it, or end it")
            return run
    return None


def finished_run(store: Store, key: str) -> Run | None:
    """The newest complete run with this config and data whose model still exists."""
    fitting = _runs(store, key)
    return next((run for run in fitting if run.artifact and _exists(store, run.artifact)), None)


def _exists(store: Store, artifact: str) -> bool:
    return (store.artifacts / artifact[: digest.SHORT]).is_dir()


def _runs(store: Store, key: str) -> Iterator[Run]:
    for folder in sorted(store.runs.glob("*"), reverse=True):
        try:
            data = json.loads((folder / _FILE).read_bytes())
            if data["key"] == key:
                yield Run(folder, key, data["artifact"], data["memory"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # killed before it wrote its first line


def run_key(job: TrainJob, data_digest: str, code: Mapping[str, str | None] | None = None) -> str:
    """What makes two runs the same: every value that shapes the model, the data, and the user's own code.

    It is a digest of resolved values, so that another `${oc.env:LR}` is another run, and no secret is written.
    """
    shaping = [field.name for field in fields(job.train) if field.metadata.get("shapes", True)]
    train = {name: getattr(job.train, name) for name in shaping}
    return digest.of_json([job.name, asdict(job.model), asdict(job.task), train, data_digest, dict(code or {})])
