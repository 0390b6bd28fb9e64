"""A training run on disk: what it was started with, how far it got, and what came of it."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mltool.artifacts import digest
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json
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

    @property
    def id(self) -> str:
        return self.folder.name

    def remembered(self, name: str, decide: Callable[[], Any]) -> Any:
        """The decision of that name, taken once and kept for when the run is resumed."""
        if name not in self.memory:
            self.memory[name] = decide()
            self._write()
        return self.memory[name]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from resuming the run while this one is at it."""
        with FileLock(str(self.folder / _LOCK)):
            yield

    @property
    def is_held(self) -> bool:
        try:
            with FileLock(str(self.folder / _LOCK), timeout=0):
                return False
        except Timeout:
            return True

    def finish(self, artifact: str) -> None:
        self.artifact = artifact
        self._write()
        (self.folder / checkpoint.FILE).unlink(missing_ok=True)

    def _write(self) -> None:
        write_json(self.folder / _FILE, {"key": self.key, "artifact": self.artifact, "memory": self.memory})


def new_run(store: Store, key: str) -> Run:
    now = datetime.datetime.now(datetime.UTC)
    folder = store.runs / f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    with explained_disk_errors(store.root):
        folder.mkdir(parents=True)
        run = Run(folder, key, None, {})
        run._write()
    return run


def unfinished_run(store: Store, key: str) -> Run | None:
    """The newest run with this key that wrote a checkpoint, came to no end, and that nobody is working on."""
    fitting = _runs(store, key)
    return next(
        (
            run
            for run in fitting
            if run.artifact is None and (run.folder / checkpoint.FILE).exists() and not run.is_held
        ),
        None,
    )


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


def run_key(job: TrainJob, data_digest: str) -> str:
    """What makes two runs the same: every value that shapes the model, and the data, however its path was written.

    It is a digest of resolved values, so that another `${oc.env:LR}` is another run, and no secret is written.
    """
    shaping = [field.name for field in fields(job.train) if field.metadata.get("shapes", True)]
    train = {name: getattr(job.train, name) for name in shaping}
    return digest.of_json([job.name, asdict(job.model), asdict(job.task), train, data_digest])
