"""Statements of SQLAlchemy Core, compiled once and run on the driver's own connection.

Building and executing through SQLAlchemy costs more than the statement itself on the acknowledgement path; the
numbers are in docs/decisions/0002-store.md.
"""

import sqlite3
from collections.abc import Iterable, Mapping

from sqlalchemy import ClauseElement
from sqlalchemy.dialects import sqlite

Value = str | bytes | int | float | None
"""What a column can hold."""

_DIALECT = sqlite.dialect(paramstyle="named")


class Prepared:
    """One statement, as the SQL text of an engine with `:name` parameters."""

    __slots__ = ("sql",)

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        hidden = [name for name, value in compiled.params.items() if value is not None]
        if hidden:  # a constant became a parameter: partial indexes would not match, and run() would not send it
            raise ValueError(f"constants must be literal: {hidden} in {compiled}")
        self.sql = str(compiled)

    def run(self, connection: sqlite3.Connection, values: Mapping[str, Value]) -> sqlite3.Cursor:
        """Execute with these parameters."""
        return connection.execute(self.sql, values)

    def run_each(self, connection: sqlite3.Connection, values: Iterable[Mapping[str, Value]]) -> sqlite3.Cursor:
        """Execute once for each set of parameters; the cursor's rowcount is the sum."""
        return connection.executemany(self.sql, values)
