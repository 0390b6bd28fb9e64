"""The prediction logs of all workers read as one, in the order of time, also while they are written."""

from __future__ import annotations

import heapq
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from mltool.core import events
from mltool.core.errors import ArtifactError
from mltool.records.database import connect_to_read, reason
from mltool.records.labels import Label, LabelFinder
from mltool.records.log_file import SCHEMA
from mltool.records.tensors import decode

_PAGE_RECORDS = 256
"""Read in one piece. No query stays open between two pages, so that a slow reader does not hold up the writer."""
_COLUMNS = "time_utc, rowid, request_id, deployment, model_digest, status, latency_ms, inputs, outputs"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One request.

    Attributes:
        time_s: When it came, in Unix seconds.
        status: Of HTTP.
        inputs: By name, axis 0 is the batch; None if they were not kept. They cannot be written to.
        label: What turned out to be true, once that is known.
    """

    request_id: str
    time_s: float
    deployment: str
    model_digest: str
    status: int
    latency_ms: float
    inputs: Mapping[str, np.ndarray] | None
    outputs: Mapping[str, np.ndarray] | None
    label: Label | None


def read(
    folder: Path,
    *,
    since: float | None = None,
    until: float | None = None,
    deployment: str | None = None,
    model_digest: str | None = None,
) -> Iterator[Record]:
    """The records of all workers, oldest first; what is damaged is warned of and left out.

    Args:
        since: In Unix seconds; records of that very moment are among them.
        until: In Unix seconds; records of that very moment are not among them.
    """
    chosen = _condition(since, until, deployment, model_digest)
    with closing(LabelFinder(folder)) as labels:
        yield from heapq.merge(*(_records(path, chosen, labels) for path in _files(folder)), key=attrgetter("time_s"))


def count(
    folder: Path,
    *,
    since: float | None = None,
    until: float | None = None,
    deployment: str | None = None,
    model_digest: str | None = None,
) -> int:
    """How many records `read` would find, without reading their arrays."""
    condition, values = _condition(since, until, deployment, model_digest)
    query = f"SELECT count(*) FROM predictions WHERE {condition}"  # noqa: S608  # only our own words
    return sum(int(number) for path in _files(folder) for (number,) in _rows(path, query, values))


def time_of_newest(
    folder: Path,
    num_records: int,
    *,
    since: float | None = None,
    until: float | None = None,
    deployment: str | None = None,
    model_digest: str | None = None,
) -> float | None:
    """When the first of the newest `num_records` that `read` would find came, in Unix seconds; None for none."""
    condition, values = _condition(since, until, deployment, model_digest)
    query = f"SELECT time_utc FROM predictions WHERE {condition} ORDER BY time_utc DESC LIMIT ?"  # noqa: S608
    times: list[float] = []
    for path in _files(folder):
        times += (time_s for (time_s,) in _rows(path, query, [*values, num_records]))
    return min(heapq.nlargest(num_records, times), default=None)


def _rows(path: Path, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows of a short answer; none, with a warning, if the file cannot be read."""
    try:
        with closing(connect_to_read(path, SCHEMA)) as connection:
            return connection.execute(query, values).fetchall()
    except (sqlite3.Error, ArtifactError) as error:
        _warn(path, error)
        return []


def _condition(
    since: float | None, until: float | None, deployment: str | None, model_digest: str | None
) -> tuple[str, list[Any]]:
    condition = "time_utc >= ? AND time_utc < ?"
    values: list[Any] = [-math.inf if since is None else since, math.inf if until is None else until]
    for column, value in (("deployment", deployment), ("model_digest", model_digest)):
        if value is not None:
            condition += f" AND {column} = ?"
            values.append(value)
    return condition, values


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("worker-*.sqlite"))


def _records(path: Path, chosen: tuple[str, Sequence[Any]], labels: LabelFinder) -> Iterator[Record]:
    num_damaged = 0
    for rows in _pages(path, *chosen):
        found = labels.find([row[2] for row in rows])
        for time_s, _, request_id, served_by, digest, status, latency_ms, *contents in rows:
            try:
                inputs, outputs = (None if content is None else decode(content) for content in contents)
            except ArtifactError:
                num_damaged += 1
                continue
            label = found.get(request_id)
            yield Record(request_id, time_s, served_by, digest, status, latency_ms, inputs, outputs, label)
    if num_damaged:
        events.warning(f"prediction log `{path}`: {num_damaged} records with damaged arrays are left out")


def _pages(path: Path, condition: str, values: Sequence[Any]) -> Iterator[list[Any]]:
    query = (
        f"SELECT {_COLUMNS} FROM predictions WHERE {condition} AND (time_utc, rowid) > (?, ?) "  # noqa: S608
        f"ORDER BY time_utc, rowid LIMIT {_PAGE_RECORDS}"
    )
    last: tuple[float, int] = (-math.inf, -1)
    try:
        with closing(connect_to_read(path, SCHEMA)) as connection:
            while rows := connection.execute(query, [*values, *last]).fetchall():
                yield rows
                last = rows[-1][:2]
    except (sqlite3.Error, ArtifactError) as error:
        _warn(path, error)


def _warn(path: Path, error: Exception) -> None:
    events.warning(f"prediction log `{path}` cannot be read to its end, so records are missing: {reason(error)}")
