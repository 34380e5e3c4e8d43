"""A connection to PostgreSQL as the store uses one: what fails is a StoreError, and what was cut is opened again.

psycopg is an extra of the package, imported when the first connection is opened.
"""

import os
import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from replicator.clock import Clock
from replicator.errors import SettingsError, StoreError
from replicator.store.held import Ended
from replicator.store.postgres_place import Place, Server, connect, in_one_line, server_of
from replicator.store.postgres_values import run_one, sendable
from replicator.store.prepared import Cursor, Value

if TYPE_CHECKING:
    import psycopg

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach a server that was not reached, at the least and at the most."""

_ENDS = {"COMMIT", "ROLLBACK"}
_OPEN = {"INTRANS", "INERROR"}
_AT_REST = {"IDLE", *_OPEN}
_PIPELINED = 2
"""Statements from which on a pipeline is worth its own turn of the library."""

Statement = Callable[["psycopg.Connection[Any]"], "psycopg.Cursor[Any]"]
Setup = Callable[["PostgresConnection"], None]
"""Run on each connection before anything else; what it raises ends it."""


class LeftBehind(StoreError):
    """The server that the leader was last seen at is not there: the leader has to come round first."""


class PostgresConnection:
    """One connection at a time; `opened` counts them, so that a user of it sees that there was another.

    A statement outside a transaction that fails because the connection was cut runs once more on a new one; within
    a transaction it fails, and the transaction with it. Every method raises StoreError.

    One with a `leader` is opened anew whenever that one was, and at the same server only: a primary that has been
    replaced may live on, and what it tells is long past.
    """

    def __init__(
        self,
        place: Place,
        setup: Setup,
        clock: Clock,
        rng: random.Random,
        leader: "PostgresConnection | None" = None,
    ) -> None:
        self.opened = 0
        self.server: Server | None = None
        self.undecided = False
        self._place = place
        self._setup = setup
        self._clock = clock
        self._rng = rng
        self._leader = leader
        self._followed = 0
        self._opening = False
        self._block = False
        self._last: list[tuple[str, Sequence[Mapping[str, Value]]]] = []
        self._raw: psycopg.Connection[Any] | None = None
        self._changes = 0
        self._calls = 0
        self._asked_at = 0.0
        self._over = False
        self._pause = FIRST_PAUSE
        self._not_before = float("-inf")
        self._open()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, be it one that failed."""
        raw = self._raw
        return raw is not None and not raw.closed and raw.info.transaction_status.name in _OPEN

    @property
    def waits(self) -> bool:
        """Whether the server was asked something and has not answered; any thread may look."""
        return self._calls > 0

    def waits_for(self, seconds: float) -> bool:
        """Whether the server owes an answer for so long; any thread may look."""
        return self.waits and self._clock.monotonic() - self._asked_at >= seconds

    def cut(self) -> None:
        """Have whatever waits for the server fail, and all that is asked from now on; any thread may do it."""
        from psycopg import Error  # noqa: PLC0415 -- an extra

        self._over = True
        raw = self._raw
        if raw is not None:
            with suppress(Error, OSError), socket.socket(fileno=os.dup(raw.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    @property
    def total_changes(self) -> int:
        """Rows changed since the first connection was opened."""
        return self._changes

    def begin(self, mode: str) -> None:
        """Begin a transaction, on a new connection where the former was cut; `mode` as SQL has it, may be empty."""
        self._block = self.undecided = False
        self._last.clear()
        self._run(lambda raw: raw.execute(f"BEGIN {mode}"))
        self._block = True

    def leave(self) -> None:
        """Note that a transaction was cut and that nothing of it follows: what does is asked on a new connection."""
        self._block = False
        self._last.clear()

    def execute(self, sql: str, values: Mapping[str, Value] | None = None, /) -> Cursor:
        """Run one statement."""
        sent = None if values is None else sendable(values)
        run = self._commit if self._last and sql == "COMMIT" else partial(run_one, sql=sql, values=sent)
        try:
            cursor = self._counted(self._run(run))
        except StoreError:
            self.undecided = self._block and sql == "COMMIT" and self._raw is not None and self._raw.closed
            raise
        finally:
            if sql in _ENDS:
                self._block = False
                self._last.clear()
        if sql == "COMMIT" and cursor.statusmessage != sql:
            raise StoreError("the database has rolled the transaction back")
        return cursor

    def executemany(self, sql: str, values: Iterable[Mapping[str, Value]], /) -> Cursor:
        """Run one statement once for each set of parameters."""
        sets = [sendable(one) for one in values]

        def run(raw: "psycopg.Connection[Any]") -> "psycopg.Cursor[Any]":
            cursor = raw.cursor()
            cursor.executemany(sql, sets)
            return cursor

        return self._counted(self._run(run))

    def execute_each(self, sql: str, values: Iterable[Mapping[str, Value]], /) -> list[list[Any]]:
        """Run one statement once for each set of parameters, not waiting for one's rows before the next."""
        sets = [sendable(one) for one in values]
        if len(sets) < _PIPELINED:
            return [self._counted(self._run(partial(run_one, sql=sql, values=one))).fetchall() for one in sets]

        def run(raw: "psycopg.Connection[Any]") -> "psycopg.Cursor[Any]":
            cursor = raw.cursor()
            cursor.executemany(sql, sets, returning=True)
            return cursor

        cursor = self._run(run)
        found = [self._counted(cursor).fetchall()]
        while cursor.nextset():
            found.append(self._counted(cursor).fetchall())
        return found

    def at_commit(self, sql: str, values: Iterable[Mapping[str, Value]], /) -> None:
        """Send a statement, once for each set of parameters, together with the COMMIT of the transaction."""
        self._last.append((sql, [sendable(one) for one in values]))

    def _commit(self, raw: "psycopg.Connection[Any]") -> "psycopg.Cursor[Any]":
        """Send what is to be sent with the COMMIT, which the server leaves undone where one of that fails."""
        cursors = []
        with raw.pipeline():
            for sql, sets in self._last:
                cursor = raw.cursor()
                cursor.executemany(sql, sets)
                cursors.append(cursor)
            committed = raw.execute("COMMIT")
        for cursor in cursors:
            self._counted(cursor)
        return committed

    def close(self) -> None:
        """End it. A lock of one without a leader is given up at once: the server notices ends a moment later only."""
        raw = self._raw
        if raw is None:
            return
        if self._leader is None and not self._over:
            with suppress(StoreError):
                self._run(lambda raw: raw.execute("SELECT pg_advisory_unlock_all()"), anew=False)
        raw.close()

    def _counted(self, cursor: "psycopg.Cursor[Any]") -> "psycopg.Cursor[Any]":
        if (cursor.statusmessage or "").startswith(("INSERT", "UPDATE", "DELETE")):
            self._changes += max(0, cursor.rowcount)
        return cursor

    def _run(self, statement: Statement, *, anew: bool = True) -> "psycopg.Cursor[Any]":
        if not self.waits:
            self._asked_at = self._clock.monotonic()
        self._calls += 1
        try:
            return self._call(statement, anew=anew)
        finally:
            self._calls -= 1

    def _call(self, statement: Statement, *, anew: bool) -> "psycopg.Cursor[Any]":
        from psycopg import Error  # noqa: PLC0415 -- an extra

        # What was done before in a transaction is gone with its connection: the rest of it must not be done alone.
        again = anew and not (self._block or self._opening)
        if again and (self._raw is None or self._raw.closed or self._is_behind()):
            self._open()
        raw = self._raw
        if raw is None:
            raise StoreError("there is no connection to the database")
        try:
            return _whole(statement, raw)
        except Error as error:
            if not (again and raw.closed):
                raise StoreError(in_one_line(error)) from error
        raw = self._open()
        try:
            return _whole(statement, raw)
        except Error as error:
            raise StoreError(in_one_line(error)) from error

    def _is_behind(self) -> bool:
        return self._leader is not None and self._leader.opened != self._followed

    def _open(self) -> "psycopg.Connection[Any]":
        self._refuse_if_over()
        now = self._clock.monotonic()
        if now < self._not_before and not self._is_behind():
            raise StoreError("the database was not reached a moment ago")
        # Spread, so that daemons which lost one server do not come back to it all at once.
        self._not_before = now + self._pause * self._rng.uniform(0.5, 1.0)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._hang_up()
        at = None
        if self._leader is not None:
            self._followed, at = self._leader.opened, self._leader.server
        raw, server = self._connect(at)
        self._opening = True
        try:
            self._setup(self)
        except BaseException:
            self._hang_up()
            raise
        finally:
            self._opening = False
        self._not_before, self._pause = float("-inf"), FIRST_PAUSE
        self.server = server
        self.opened += 1  # last: whoever follows looks at it first
        return raw

    def _refuse_if_over(self) -> None:
        if self._over:
            raise Ended("the server of the store answers nothing, and is waited for no more")

    def _hang_up(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def _connect(self, at: Server | None) -> "tuple[psycopg.Connection[Any], Server]":
        from psycopg import Error  # noqa: PLC0415 -- an extra

        try:
            self._raw = raw = connect(self._place, at=at)
            self._refuse_if_over()
            server = server_of(raw)
        except Error as error:
            self._hang_up()
            failure = StoreError if at is None else LeftBehind
            raise failure(f"the database is not reached: {in_one_line(error)}") from error
        except SettingsError as error:
            raise StoreError(f"the password for the database cannot be read: {error}") from error
        if at is not None and server.started != at.started:
            self._hang_up()
            raise LeftBehind("the database that was reached is not the one that is written")
        return raw, server


def _whole(statement: Statement, raw: "psycopg.Connection[Any]") -> "psycopg.Cursor[Any]":
    """Run it. A connection that it leaves in the middle of something is closed: it would refuse all that follows."""
    try:
        return statement(raw)
    except BaseException:
        info = raw.info
        if info.pipeline_status.name != "OFF" or info.transaction_status.name not in _AT_REST:
            raw.close()
        raise
