"""Opens the store on SQLite: one process, whose lock on the directory the kernel keeps."""

import os
import sqlite3
from pathlib import Path

import anyio.to_thread

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.store.connections import open_reader, open_writer
from replicator.store.leases import end_former_life
from replicator.store.lock import StateLock, make_private
from replicator.store.migrate import migrate
from replicator.store.moment import begin_writing
from replicator.store.session import Session
from replicator.store.store import Store
from replicator.store.writer import StoreObserver


class SqliteStore(Store):
    """A store in one file, for the process that has locked its directory."""

    @classmethod
    async def open(cls, path: Path, *, clock: Clock, observer: StoreObserver | None = None) -> "SqliteStore":
        """Lock the directory of `path`, bring the database up to date and end all leases of a former life."""
        lock, session, reader = await anyio.to_thread.run_sync(_open, path, clock)
        return cls(session, reader, observer, lock.release)


def _open(path: Path, clock: Clock) -> tuple[StateLock, Session, sqlite3.Connection]:
    lock = StateLock(path.parent)
    try:
        make_private(path)
        connection = open_writer(path)
        try:
            migrate(connection)
            session = Session(connection, clock, owner=str(os.getpid()))
            _recover(session)
            return lock, session, open_reader(path)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise


def _recover(session: Session) -> None:
    try:
        begin_writing(session.connection)
        end_former_life(session)
        session.connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"the leases of a former life cannot be ended: {error}") from error
