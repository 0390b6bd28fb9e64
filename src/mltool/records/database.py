"""SQLite files that several processes share: opened with their schema, and their errors in words.

A file is in WAL mode, so that nobody who reads waits for who writes. What was committed survives a killed process
(`synchronous=NORMAL`); a machine that loses its power may lose the last commits, but never the file.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from mltool.core.errors import ArtifactError

_PAGE_BYTES = 8192
_MAX_WAL_BYTES = 16 << 20
"""What the file of the write-ahead log is cut to after a spike."""
_REASONS = {
    sqlite3.SQLITE_FULL: "there is no space left",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened for writing",
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another process holds it",
    sqlite3.SQLITE_IOERR: "the disk refused it",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is damaged",
    sqlite3.SQLITE_TOOBIG: "a record is too large",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables of one kind of file; `version` stands in the file as `PRAGMA user_version`."""

    version: int
    statements: tuple[str, ...]


class LaterSchemaError(ArtifactError):
    """The file may be sound, but this mltool cannot tell."""


def connect(path: Path, schema: Schema, *, timeout_s: float) -> sqlite3.Connection:
    """Open a file for writing, and make it if it is not there; transactions are begun by hand.

    Args:
        timeout_s: How long a statement waits for another process that writes.

    Raises:
        sqlite3.DatabaseError: It cannot be opened, or is damaged.
        LaterSchemaError: A later mltool made it.
        OSError: The folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")  # of a file that is not there yet
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={_MAX_WAL_BYTES}")
        connection.execute("PRAGMA secure_delete=OFF")  # what makes room need not be written over first
        if _version(connection, path, schema) == 0:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection, path, schema) == 0:  # nobody else made it in the meantime
                for statement in schema.statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={schema.version}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path, schema: Schema, *, timeout_s: float = 10.0) -> sqlite3.Connection:
    """Open a file that others may be writing; nothing in it can be changed through the connection.

    A file that somebody is about to make reads as an empty one.

    Raises:
        sqlite3.DatabaseError: It cannot be opened, or is damaged.
        LaterSchemaError: A later mltool made it.
    """
    connection = _open_uri(path, "mode=ro", timeout_s)
    try:
        try:
            version = _version(connection, path, schema)
        except sqlite3.OperationalError:
            # Where nothing can be written there is no room for the index that readers share; but nobody writes either.
            if _size(Path(f"{path}-wal")):
                raise
            connection.close()
            connection = _open_uri(path, "immutable=1", timeout_s)
            version = _version(connection, path, schema)
    except BaseException:
        connection.close()
        raise
    if version == 0:
        connection.close()
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in schema.statements:
            connection.execute(statement)
    return connection


def is_damage(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def reason(error: BaseException) -> str:
    """What is wrong, as the end of a sentence."""
    if isinstance(error, sqlite3.Error):
        if getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE":  # no room for the index of the log
            return _REASONS[sqlite3.SQLITE_FULL]
        return _REASONS.get(_code(error), str(error))
    if isinstance(error, OSError):
        return f"{error.strerror} (`{error.filename}`)"
    return getattr(error, "message", None) or f"{type(error).__name__}: {error}"


def _open_uri(path: Path, mode: str, timeout_s: float) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{mode}"
    # A generator that reads may be ended by another thread than began it.
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)


def _version(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > schema.version:
        raise LaterSchemaError(f"`{path}` has schema version `{version}`", hint="upgrade mltool to use it")
    return int(version)


def _code(error: sqlite3.Error) -> int:
    """The kind of error; SQLite puts the details into the higher bits."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
