"""A study on disk: what it searches, and whether a search may go on with it.

.mltool/studies/<name>/study.json    what makes two searches the same, written first
.mltool/studies/<name>/journal.log   every trial, as Optuna writes it
.mltool/studies/<name>/best.yaml     the best config so far
.mltool/studies/<name>/report.html   the page
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mltool.artifacts import digest
from mltool.artifacts.references import check_name
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.point import at
from mltool.stages.tune.space import Space

FILE, JOURNAL, BEST, REPORT, LOCK = "study.json", "journal.log", "best.yaml", "report.html", "search.lock"
_DIFFERS = {
    "data": "is of other data",
    "space": "searches another space",
    "model": "is of another model",
    "task": "is of another task",
    "training": "trains in another way",
    "metric": "is judged by another metric",
    "search": "has another seed or pruner",
}
"""By part of what makes two searches the same: what to say of a study whose part is another."""


@dataclass(frozen=True, slots=True)
class Study:
    folder: Path
    parts: Mapping[str, str]
    """Digests, so that no secret is written."""
    created_utc: str

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other commands from going on with the study until the block ends.

        Raises:
            MltoolError: One of them is at it.
        """
        lock = FileLock(str(self.folder / LOCK), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise MltoolError(f"study `{self.name}` is being searched already", hint="wait for it, or end it") from None
        try:
            yield
        finally:
            lock.release()


def parts_of(
    job: TuneJob, space: Space, metric: str, data_digest: str, code: Mapping[str, str | None]
) -> dict[str, str]:
    """What makes two searches the same; values of searched keys are left out, so that the best may be put in place."""
    job = at(job, {key: domain.first for key, domain in space.domains.items()})
    training = {f.name: getattr(job.train, f.name) for f in fields(job.train) if f.metadata.get("shapes", True)}
    parts = {
        "data": data_digest,
        "space": {key: str(domain) for key, domain in space.domains.items()},
        "model": [asdict(job.model), code.get("model.target")],
        "task": [asdict(job.task), {key: value for key, value in code.items() if key != "model.target"}],
        "training": training,
        "metric": metric,
        "search": [job.tune.seed, job.tune.pruner],
    }
    return {name: digest.of_json(part) for name, part in parts.items()}


def new_study(store: Store, name: str | None, model: str, parts: Mapping[str, str]) -> Study:
    """Make a study, by default with the model's name and the next number.

    Raises:
        ConfigError: There is one of that name.
    """
    created_utc = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with store.scratch() as scratch:
        store.studies.mkdir(exist_ok=True)
        made = scratch / "study"
        made.mkdir()
        write_json(made / FILE, {"parts": dict(parts), "created_utc": created_utc})
        number = 1
        while True:
            folder = store.studies / (name or f"{model}-{number}")
            try:
                made.rename(folder)  # at once, so that nobody finds half of one
                return Study(folder, parts, created_utc)
            except OSError as error:
                if not folder.exists():
                    raise
                if name:
                    hint = "`--resume` goes on with it; else choose another `study=`"
                    raise ConfigError(f"there is a study `{name}` already", hint=hint) from error
                number += 1


def study_to_resume(store: Store, name: str | None, parts: Mapping[str, str]) -> Study | None:
    """The study of that name, or the newest of the same search; None if there is none of the same search.

    Raises:
        ArtifactError: There is no study of that name, or it cannot be read.
        ConfigError: It is a study of something else.
    """
    if name is None:
        known = [study for path in store.studies.glob(f"*/{FILE}") if (study := _readable(path.parent))]
        same = [study for study in known if study.parts == parts]
        return max(same, key=lambda study: (study.created_utc, study.folder.stat().st_mtime_ns), default=None)
    if not (store.studies / name).is_dir():
        names = sorted(path.parent.name for path in store.studies.glob(f"*/{FILE}"))
        hint = f"known are {', '.join(names[:8])}" if names else "start it without --resume"
        raise ArtifactError(f"there is no study `{name}`", hint=hint)
    study = _read(store.studies / name)
    different = next((part for part in parts if study.parts.get(part) != parts[part]), None)
    if different:
        raise ConfigError(
            f"study `{name}` {_DIFFERS[different]} than this config, so its trials do not count here",
            hint="start another study, with another `study=` and without --resume",
        )
    return study


def _readable(folder: Path) -> Study | None:
    try:
        return _read(folder)
    except ArtifactError:
        return None  # another study's damage is no reason not to search


def _read(folder: Path) -> Study:
    try:
        data: Any = json.loads((folder / FILE).read_bytes())
        return Study(folder, dict(data["parts"]), str(data["created_utc"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(
            f"study `{folder.name}` cannot be read: `{folder / FILE}` is damaged",
            hint="start a new one without --resume",
        ) from error


def check_study_name(name: str | None) -> None:
    """Refuse what cannot be a folder, before anything is read.

    Raises:
        ConfigError: It cannot.
    """
    if name is not None:
        check_name(name)
