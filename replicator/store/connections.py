"""The two connections to the database and how they are set up (research: one that writes and checkpoints).

Two connections that write or checkpoint at once can corrupt a database in SQLite before 3.51.3, so readers are
read-only and never checkpoint.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from replicator.errors import StoreError

_OLDEST = (3, 35, 0)  # RETURNING
WRITER_PRAGMAS: tuple[str, ...] = (
    "PRAGMA synchronous=FULL",  # each commit is synced before it returns: what is acknowledged survives power loss
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-65536",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=8192",
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA foreign_keys=ON",
)
_READER = (
    "PRAGMA query_only=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-16384",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=0",
)


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the connection that writes. Raises StoreError when the file is no database or cannot be one."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
    connection = _connect(path, "rw")
    try:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{path} cannot have a write-ahead log ({mode}): it must be on a local file system")
        _set_up(connection, WRITER_PRAGMAS)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read."""
    connection = _connect(path, "ro")
    try:
        _set_up(connection, _READER)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be read: {error}") from error
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        # Each connection is used by one thread at a time, though not by the one that opened it.
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error


def _set_up(connection: sqlite3.Connection, pragmas: tuple[str, ...]) -> None:
    for pragma in pragmas:
        connection.execute(pragma)
