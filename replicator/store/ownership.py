"""Who works with a store on PostgreSQL: one daemon at a time, by a lock that its session holds.

The lock ends with the session, so a daemon that dies is followed at once. One whose connection was only cut comes
back to it, unless another has begun to work meanwhile: that one's name stands in the table `state`, and what this one
believes to lease is leased no more.
"""

from typing import NoReturn

from replicator.errors import StoreError
from replicator.store.held import Held
from replicator.store.postgres_connection import PostgresConnection
from replicator.store.prepared import Value
from replicator.store.writer import Taken

LOCK_KEY = int.from_bytes(b"repl")
"""Stands for this program among those that lock something in the same database."""
_LOCK = "SELECT pg_try_advisory_lock(%(key)s::int4, hashtext(current_schema()))"
FIND_HOLDER = """
SELECT pg_locks.pid, extract(epoch FROM backend_start)::text FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 2
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND classid = %(key)s AND objid = hashtext(current_schema())::oid
"""
"""Which of the server's processes has the lock of the session's schema: its number, and when it was started.

Numbers are used again, soonest where a server was started anew or another took its place.
"""
_WHO = "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = """
SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity
WHERE pid = %(pid)s AND extract(epoch FROM backend_start)::text = %(started)s
"""
_Process = tuple[int, str | None]
_LEFT: set[_Process] = set()
"""The server's processes of tries to open a store that failed: they may have its lock, and nobody ends them."""
_NOTICED = (
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 3",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 15000",
)
"""Have the server notice within a quarter of a minute that our machine is gone: it would keep the lock for hours."""


class Ownership:
    """Takes the lock on each connection that writes; `name` is this life's own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._began = False
        self._asked = set(_LEFT)  # the server's processes that may have the lock for us

    def began(self, connection: PostgresConnection) -> None:
        """From now on the store is ours until another name stands there. To be called within a transaction."""
        connection.execute("UPDATE state SET holder = %(name)s", {"name": self.name})

    def settled(self) -> None:
        """Note that this is committed."""
        self._began = True

    def failed(self) -> None:
        """Note that the store is not opened: what is left of this is no stranger to whoever tries again."""
        _LEFT.update(self._asked)

    def set_up(self, connection: PostgresConnection) -> None:
        """Refuse a server that is a standby or syncs nothing, and take the lock. Raises StoreError, Held, Taken."""
        _check(connection)
        for statement in _NOTICED:
            connection.execute(statement)
        self._lock(connection)
        if self._began and _one(connection, "SELECT holder FROM state") != self.name:
            raise self._taken()

    def _lock(self, connection: PostgresConnection) -> None:
        ours = _process(connection, _WHO)
        if ours is None:
            raise StoreError("the database does not tell who is connected to it")
        self._asked.add(ours)  # before: the answer may be lost
        if not _one(connection, _LOCK, key=LOCK_KEY):
            self._end_former(connection)
            if not _one(connection, _LOCK, key=LOCK_KEY):
                self._refuse(connection, ours)
        self._asked = {ours}
        _LEFT.clear()

    def _end_former(self, connection: PostgresConnection) -> None:
        """End the session that has the lock if it is ours: the server does not know that it is cut."""
        holder = _holder(connection)
        if holder is not None and holder in self._asked:
            connection.execute(_END, {"pid": holder[0], "started": holder[1]})

    def _refuse(self, connection: PostgresConnection, ours: _Process) -> NoReturn:
        self._asked.discard(ours)
        holder = _holder(connection)
        if holder is None or holder in self._asked:
            raise StoreError("the database has not ended yet a session that was cut")
        raise self._taken() if self._began else Held("another daemon works with this store")

    def _taken(self) -> Taken:
        return Taken("another daemon has taken the store over")


def _check(connection: PostgresConnection) -> None:
    if _one(connection, "SELECT pg_is_in_recovery()"):
        raise StoreError("the database is a standby, which cannot be written")
    if _one(connection, "SELECT current_schema()") is None:
        raise StoreError("the database has none of the schemas of its search_path")
    if _one(connection, "SHOW fsync") == "off":
        raise StoreError("the database runs with fsync = off: it may lose what was acknowledged")
    if _one(connection, "SHOW synchronous_commit") == "off":
        connection.execute("SET synchronous_commit = on")


def _holder(connection: PostgresConnection) -> _Process | None:
    return _process(connection, FIND_HOLDER, key=LOCK_KEY)


def _process(connection: PostgresConnection, question: str, **values: Value) -> _Process | None:
    found = connection.execute(question, values).fetchone()
    return None if found is None else (int(found[0]), found[1])


def _one(connection: PostgresConnection, question: str, **values: Value) -> object:
    found = connection.execute(question, values).fetchone()
    return None if found is None else found[0]
