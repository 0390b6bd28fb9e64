"""One file of the prediction log as its writer sees it: opened, kept within its size, and replaced when damaged."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mltool.core import events
from mltool.core.errors import InputError
from mltool.records.database import Schema, connect, is_damage
from mltool.records.tensors import encode

Arrays = Mapping[str, np.ndarray]
Entry = tuple[str, float, str, str, int, float, Arrays | None, Arrays | None, int]
"""The columns of a record, its arrays not encoded yet, and the bytes that they take."""
SCHEMA = Schema(
    version=1,
    statements=(
        "CREATE TABLE predictions (request_id TEXT, time_utc REAL, deployment TEXT, model_digest TEXT, status INTEGER, "
        "latency_ms REAL, inputs BLOB, outputs BLOB)",
        "CREATE INDEX predictions_by_time ON predictions (time_utc)",
        "CREATE VIEW readable AS SELECT strftime('%Y-%m-%dT%H:%M:%fZ', time_utc, 'unixepoch') AS time, request_id, "
        "deployment, substr(model_digest, 1, 12) AS model, status, latency_ms FROM predictions",
    ),
)
_BUSY_TIMEOUT_S = 1.0
_SILENCE_S = 3600.0
"""How long a cause that was warned of is not warned of again."""
_BETWEEN_MOVES_S = 60.0
"""A disk that damages whatever it holds shall not fill up with damaged files."""
_LOOK_S = 1.0
"""How often it is asked whether the file is still in its place."""
_ROW_BYTES = 200
"""About what a record takes beside its arrays."""
_CHUNKS = (250, 100, 32, 8, 1)
"""Records in one statement. After each call of SQLite the writer must win the interpreter's lock back from a busy event
loop, which may take milliseconds, so that what takes a call for every record cannot keep up."""
_INSERT = {num: "INSERT INTO predictions VALUES" + ",".join(["(?,?,?,?,?,?,?,?)"] * num) for num in _CHUNKS}
_BAD_RECORD = (
    sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.NotSupportedError,
    sqlite3.ProgrammingError, ArithmeticError, InputError, LookupError, TypeError, ValueError,
)  # fmt: skip
"""What one record may cause that says nothing of the file."""


class LogFile:
    """A file that is opened when it is first written, and once more when it could not be, or was moved away."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self._max_bytes = path, max_bytes
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._bytes_unlooked = 0
        self._looked_s = 0.0
        self._moved_s = -_BETWEEN_MOVES_S
        self._warned_s: dict[str, float] = {}

    def write(self, entries: Sequence[Entry]) -> int:
        """Commit records together, and return how many; one that no file could hold is left out.

        Raises:
            sqlite3.Error: Nothing was written; later it may work.
            OSError: The same.
            LaterSchemaError: A later mltool made the file.
        """
        try:
            return self._write(entries)
        except BaseException as error:
            self.close()
            if not is_damage(error) or time.monotonic() - self._moved_s < _BETWEEN_MOVES_S:
                raise
        self._move_aside()
        return self._write(entries)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def warn(self, text: str) -> None:
        """Warn of what is wrong with the file, once an hour for each thing."""
        now_s = time.monotonic()
        if now_s - self._warned_s.get(text, -_SILENCE_S) >= _SILENCE_S:
            self._warned_s[text] = now_s
            self.say("warning", text)

    def say(self, level: Literal["info", "warning"], text: str) -> None:
        with contextlib.suppress(Exception):  # who listens may fail; the log goes on
            events.emit(events.Message(level, f"prediction log `{self.path}` {text}"))

    def _write(self, entries: Sequence[Entry]) -> int:
        connection = self._opened()
        self._make_room(connection, sum(entry[-1] + _ROW_BYTES for entry in entries))
        is_one_statement = len(entries) in _CHUNKS  # then it is a transaction of its own
        try:
            if not is_one_statement:
                connection.execute("BEGIN IMMEDIATE")
            _insert(connection, entries, encode)
            num_written = len(entries)
        except _BAD_RECORD:
            if not is_one_statement:
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            num_written = sum(self._insert_if_possible(connection, entry) for entry in entries)
        if connection.in_transaction:
            connection.execute("COMMIT")
        return num_written

    def _opened(self) -> sqlite3.Connection:
        now_s = time.monotonic()
        if self._connection is not None and now_s - self._looked_s > _LOOK_S:
            self._looked_s = now_s
            if _identity(self.path) != self._file:
                # Somebody moved or deleted it. What it lacks stands in the log beside the name that it had.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self.close()
        if self._connection is None:
            self._file = _identity(self.path)
            self._connection = connect(self.path, SCHEMA, timeout_s=_BUSY_TIMEOUT_S)
            self._file = _identity(self.path)
            self._looked_s, self._bytes_unlooked = now_s, self._max_bytes
        return self._connection

    def _make_room(self, connection: sqlite3.Connection, num_bytes: int) -> None:
        """Delete the oldest 2% as often as needed; what comes takes their pages, so the file does not grow."""
        self._bytes_unlooked += num_bytes
        if self._bytes_unlooked < self._max_bytes // 100:
            return
        while _used_bytes(connection) + num_bytes > self._max_bytes:
            bounds = "SELECT (SELECT min(rowid) FROM predictions), (SELECT max(rowid) FROM predictions)"
            first, last = connection.execute(bounds).fetchone()
            if first is None:
                break
            connection.execute("DELETE FROM predictions WHERE rowid <= ?", (first + (last - first) // 50,))
        self._bytes_unlooked = 0

    def _insert_if_possible(self, connection: sqlite3.Connection, entry: Entry) -> bool:
        try:
            _insert(connection, [entry], self._encoded)
        except _BAD_RECORD as error:
            self.warn(f"cannot hold a record, which is dropped: {error}")
            return False
        return True

    def _encoded(self, arrays: Arrays) -> bytes | None:
        try:
            return encode(arrays)
        except InputError as error:
            self.warn(f"keeps records without what it cannot hold: {error.message}")
            return None

    def _move_aside(self) -> None:
        """Keep a damaged file under another name; whoever still has it open goes on writing to it there."""
        if _identity(self.path) != self._file:
            return  # somebody else was faster
        self._moved_s = time.monotonic()
        stem = f"{self.path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        number = 1
        while Path(aside := stem if number == 1 else f"{stem}-{number}").exists():
            number += 1
        for suffix in ("-wal", "-shm", ""):  # the log before its file: it must never be applied to the new one
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        self.warn(f"was damaged; it is kept as `{Path(aside).name}`, and a new one was begun")


def _insert(
    connection: sqlite3.Connection, entries: Sequence[Entry], encoded: Callable[[Arrays], bytes | None]
) -> None:
    start = 0
    for num in _CHUNKS:
        while len(entries) - start >= num:
            values: list[Any] = []
            part = entries[start : start + num]
            for request_id, time_s, deployment, digest, status, latency_ms, inputs, outputs, _ in part:
                values += (
                    request_id, time_s, deployment, digest, status, latency_ms,
                    None if inputs is None else encoded(inputs), None if outputs is None else encoded(outputs),
                )  # fmt: skip
            connection.execute(_INSERT[num], values)
            start += num


def _used_bytes(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    (num_pages,) = connection.execute("PRAGMA page_count").fetchone()
    (num_free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(size * (num_pages - num_free))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
