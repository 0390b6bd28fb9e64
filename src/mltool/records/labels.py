"""What turned out to be true: labels by request, in a file of their own, because another process brings them later."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from mltool.core import events
from mltool.core.errors import ArtifactError, InputError, MltoolError
from mltool.records.database import Schema, connect, connect_to_read, is_damage, reason

LABELS = "labels.sqlite"
SCHEMA = Schema(
    version=1,
    # `label` has no type, so that text stays text and numbers stay numbers.
    statements=("CREATE TABLE labels (request_id TEXT PRIMARY KEY, label, time_utc REAL) WITHOUT ROWID",),
)
_BUSY_TIMEOUT_S = 60.0
_UPSERT = (
    "INSERT INTO labels VALUES (?, ?, ?) "
    "ON CONFLICT (request_id) DO UPDATE SET label = excluded.label, time_utc = excluded.time_utc"
)


@dataclass(frozen=True, slots=True)
class Label:
    """A class by name or number, or a quantity.

    Attributes:
        time_s: When it was added, in Unix seconds.
    """

    value: str | int | float
    time_s: float


def add_labels(folder: Path, labels: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> int:
    """Add labels by request id, all or none, and return how many; one that is there already is replaced.

    Raises:
        InputError: A label is neither text nor a finite number.
        ArtifactError: The file of labels is damaged, or of a later mltool.
        MltoolError: It cannot be written.
    """
    path, now_s = folder / LABELS, time.time()
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    rows = ((str(request_id), _plain(request_id, label), now_s) for request_id, label in pairs)
    try:
        # What was not committed when the connection is closed is taken back.
        with closing(connect(path, SCHEMA, timeout_s=_BUSY_TIMEOUT_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            num_added = connection.executemany(_UPSERT, rows).rowcount
            connection.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        if is_damage(error):
            raise ArtifactError(f"`{path}` is damaged", hint="move it away and add the labels again") from error
        raise MltoolError(f"cannot write to `{path}`: {reason(error)}") from error
    return max(num_added, 0)


def labels(folder: Path) -> dict[str, Label]:
    """All labels by request id; none if none were ever added.

    Raises:
        ArtifactError: The file of labels is damaged, or of a later mltool.
    """
    path = folder / LABELS
    if not path.exists():
        return {}
    try:
        with closing(connect_to_read(path, SCHEMA)) as connection:
            return _by_request(connection.execute("SELECT request_id, label, time_utc FROM labels"))
    except sqlite3.Error as error:
        raise ArtifactError(f"`{path}` cannot be read: {reason(error)}") from error


class LabelFinder:
    """Finds the labels of some requests; if the file is damaged, it warns once and finds none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LABELS
        self._connection: sqlite3.Connection | None = None
        self._is_usable = self._path.exists()

    def find(self, request_ids: Sequence[str]) -> dict[str, Label]:
        if not self._is_usable:
            return {}
        marks = ",".join("?" * len(request_ids))
        query = f"SELECT request_id, label, time_utc FROM labels WHERE request_id IN ({marks})"  # noqa: S608
        try:
            if self._connection is None:
                self._connection = connect_to_read(self._path, SCHEMA)
            return _by_request(self._connection.execute(query, request_ids))
        except (sqlite3.Error, ArtifactError) as error:
            events.warning(f"`{self._path}` cannot be read, so records have no labels: {reason(error)}")
            self._is_usable = False
            return {}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _by_request(rows: Iterable[tuple[str, str | int | float, float]]) -> dict[str, Label]:
    return {request_id: Label(value, time_s) for request_id, value, time_s in rows}


def _plain(request_id: str, label: Any) -> str | int | float:
    value = label.item() if isinstance(label, np.generic) else label
    is_storable = (
        isinstance(value, str)
        or (isinstance(value, int) and value.bit_length() < 64)
        or (isinstance(value, float) and math.isfinite(value))
    )
    if not is_storable:
        raise InputError(f"the label of `{request_id}` is {value!r}", hint="give text or a number")
    return cast(str | int | float, value)
