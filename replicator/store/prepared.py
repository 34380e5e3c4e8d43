"""Statements of SQLAlchemy Core, compiled once and run on the driver's own connection.

Building and executing through SQLAlchemy costs more than the statement itself on the acknowledgement path; the
numbers are in docs/decisions/0002-store.md.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg

Value = str | bytes | int | float | None
"""What a column can hold."""

_SQLITE: Dialect = sqlite.dialect(paramstyle="named")
_POSTGRES: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # the dialect is typed in parts


class Cursor(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, None when there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Reconnecting(Protocol):
    """A connection to a server, which is opened anew where it was cut; used by one thread at a time."""

    opened: int
    """How often it was opened."""
    undecided: bool
    """Whether the newest transaction's COMMIT got no answer: it may have been kept or not."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    @property
    def total_changes(self) -> int:
        """Rows changed since it was first opened."""
        ...

    def begin(self, mode: str) -> None:
        """Begin a transaction, of the mode that SQL has words for; plain ones with none."""
        ...

    def leave(self) -> None:
        """Take note that nothing follows of a transaction that was cut."""
        ...

    def execute(self, sql: str, values: Mapping[str, Value] = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, values: Iterable[Mapping[str, Value]], /) -> Cursor:
        """Run one statement once for each set of parameters."""
        ...

    def execute_each(self, sql: str, values: Iterable[Mapping[str, Value]], /) -> list[list[Any]]:
        """Run one statement once for each set of parameters, and return the rows that each found."""
        ...

    def at_commit(self, sql: str, values: Iterable[Mapping[str, Value]], /) -> None:
        """Run one statement once for each set of parameters together with the COMMIT of the transaction."""
        ...

    def close(self) -> None:
        """End it."""
        ...


Connection = sqlite3.Connection | Reconnecting
"""A connection of either engine: SQLite's driver's own, or one to PostgreSQL."""


class Prepared:
    """One statement, as the SQL text of each engine with named parameters."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_SQLITE)
        hidden = [name for name, value in compiled.params.items() if value is not None]
        if hidden:  # a constant became a parameter: partial indexes would not match, and run() would not send it
            raise ValueError(f"constants must be literal: {hidden} in {compiled}")
        self.sql = str(compiled)
        self._statement = statement

    @cached_property
    def postgres(self) -> str:
        """The text for PostgreSQL; compiled when it is first asked for."""
        return str(self._statement.compile(dialect=_POSTGRES))

    def run(self, connection: Connection, values: Mapping[str, Value]) -> Cursor:
        """Execute with these parameters."""
        return connection.execute(self._text(connection), values)

    def run_each(self, connection: Connection, values: Iterable[Mapping[str, Value]]) -> Cursor:
        """Execute once for each set of parameters; the cursor's rowcount is the sum."""
        return connection.executemany(self._text(connection), values)

    def fetch_each(self, connection: Connection, values: Iterable[Mapping[str, Value]]) -> list[list[Any]]:
        """Execute once for each set of parameters, in order; return the rows of each."""
        if isinstance(connection, sqlite3.Connection):
            return [connection.execute(self.sql, one).fetchall() for one in values]
        return connection.execute_each(self.postgres, values)

    def run_at_commit(self, connection: Connection, values: Iterable[Mapping[str, Value]]) -> None:
        """Execute once for each set of parameters, at the latest when the transaction is committed."""
        if isinstance(connection, sqlite3.Connection):
            connection.executemany(self.sql, values)
        else:
            connection.at_commit(self.postgres, values)

    def _text(self, connection: Connection) -> str:
        return self.sql if isinstance(connection, sqlite3.Connection) else self.postgres
