"""Transactions, as each engine begins and ends them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from replicator.store.prepared import Connection


@contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """Hold one snapshot of the database for as long as the block runs."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("BEGIN")
    else:
        connection.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
        if connection.in_transaction:
            # Not rolled back: psycopg would have the server forget all statements that it has prepared.
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        elif not isinstance(connection, sqlite3.Connection):
            connection.leave()


def begin_writing(connection: Connection) -> int:
    """Begin to write. Returns how often the connection was opened: with a new one, numbers may be lost."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("BEGIN IMMEDIATE")
        return 1
    connection.begin("")
    return connection.opened


def may_be_kept(connection: Connection) -> bool:
    """Say whether the transaction that failed last may have been kept all the same: its COMMIT got no answer."""
    return not isinstance(connection, sqlite3.Connection) and connection.undecided


DATABASE_ERRORS: tuple[type[sqlite3.Error], ...] = (sqlite3.Error,)
"""What SQLite's driver raises; PostgreSQL's connection raises StoreError itself."""
