"""The requests that are looked at: of a file, or of the prediction log of a deployment."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.core import events, moments
from mltool.core.errors import DataError
from mltool.datasets.array_checks import check_finite
from mltool.datasets.records_file import STDIN, read_records
from mltool.datasets.schema import schema_of
from mltool.records.deployment import Deployment
from mltool.records.reading import Record, count, read, time_of_newest
from mltool.runtimes.runner import Runner, Signature, run_all
from mltool.stages.monitor.config import MonitorConfig
from mltool.stages.monitor.dataset import find_dataset, rows_of

# Axes: N rows

Arrays = Mapping[str, np.ndarray]
_OK = 200


@dataclass(frozen=True, slots=True)
class Window:
    """What came in and what the model answered, row by row.

    Attributes:
        inputs: By the names of the model's inputs; those that were not recorded are not there.
        source: Where it is from, for people.
        facts: The same as plain data, with the times of the first and last request of a log.
    """

    inputs: Arrays
    outputs: Arrays
    source: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        return len(next(iter(self.outputs.values())))

    def digest(self) -> str:
        """What tells two windows apart."""
        digest = hashlib.sha256()
        for name, array in (*self.inputs.items(), *self.outputs.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data if array.size else b"")
        return digest.hexdigest()


def of_current(current: str, model: Artifact, runner: Runner, batch_size: int, store: Store) -> Window:
    """The records of a file, the pictures of a folder or the rows of a dataset, answered by the model.

    Raises:
        DataError: It is missing, empty or broken.
        InputError: It does not fit the model.
    """
    dataset, schema = find_dataset(current, store), schema_of(model)
    source = "standard input" if current == STDIN else f"`{current}`"
    if dataset is None:
        inputs: Arrays = read_records(current, schema).arrays
    else:
        inputs, source = rows_of(dataset, schema), f"the dataset `{dataset.label}`"
        if any(parent.digest == dataset.digest for parent in model.manifest.parents):
            events.warning(f"`{model.label}` was made with {source}, so what it answers looks surer than it is")
    check_finite(inputs, schema)
    num_rows = len(next(iter(inputs.values())))
    with events.track("answer", num_rows, "samples") as bar:
        outputs = run_all(runner, inputs, batch_size)
        bar.advance(num_rows)
    return Window(inputs, outputs, source, {"current": current})


def of_log(deployment: Deployment, folder: Path, model: Artifact, config: MonitorConfig) -> Window:
    """What a deployment was asked and answered, as far as `model` was the one that answered.

    Raises:
        DataError: Nothing that can be compared was recorded.
    """
    now_s = time.time()
    since_s = None if config.since is None else moments.moment(config.since, "monitor.since", now_s)
    until_s = None if config.until is None else moments.moment(config.until, "monitor.until", now_s)
    own: Any = {"until": until_s, "deployment": deployment.name, "model_digest": model.digest}
    with events.collected():  # what is wrong with a file is said once, by `read`
        newest_s = time_of_newest(folder, config.last, since=since_s, **own)
        first_s = since_s if newest_s is None else newest_s
        num_all = count(folder, since=first_s, until=until_s, deployment=deployment.name)
        num_others = num_all - count(folder, since=first_s, **own)
    found = [one for one in read(folder, since=first_s, **own) if one.status == _OK and one.outputs]
    records = found[-config.last :]
    if num_others:
        events.info(f"{num_others:,} requests that other versions of `{deployment.name}` answered are left out")
    if not records:
        raise DataError(
            f"the prediction log of `{deployment.name}` holds no answers of `{model.label}`"
            f"{'' if config.since is None and config.until is None else ' in that time'}",
            hint=f"ask it first; `mltool deploy status {deployment.name}` counts what is recorded, and where",
        )
    kept = _alike(records, deployment.name, Signature.from_json(model.manifest.signature))
    span = f"{moments.shown(kept[0].time_s)} to {moments.shown(kept[-1].time_s)} UTC"
    return Window(
        _joined([record.inputs or {} for record in kept]),
        _joined([record.outputs or {} for record in kept]),
        f"{len(kept):,} requests to `{deployment.name}`, {span},",
        {
            "deployment": deployment.name,
            "num_requests": len(kept),
            "first_s": kept[0].time_s,
            "last_s": kept[-1].time_s,
        },
    )


def _alike(records: Sequence[Record], name: str, signature: Signature) -> list[Record]:
    """The records with the same arrays; `record=` may have changed, and a window must not mix what is there."""
    forms = Counter(_form(record) for record in records)
    form = max(forms, key=lambda one: (forms[one], len(one)))
    kept = [record for record in records if _form(record) == form]
    if len(kept) < len(records):
        events.warning(f"{len(records) - len(kept):,} requests to `{name}` were recorded with other arrays: left out")
    recorded = {array for array, _ in form}
    absent = [spec.name for spec in signature.inputs if f"input {spec.name}" not in recorded]
    if absent:
        what = ", ".join(f"`{one}`" for one in absent)
        events.info(
            f"the log of `{name}` does not keep {what}, so only what is kept is watched: `record=all` keeps all"
        )
    return kept


def _form(record: Record) -> tuple[tuple[str, tuple[int, ...]], ...]:
    inputs = [(f"input {name}", array.shape[1:]) for name, array in (record.inputs or {}).items()]
    return (*inputs, *((f"output {name}", array.shape[1:]) for name, array in (record.outputs or {}).items()))


def _joined(parts: Sequence[Arrays]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
