"""Where a database of PostgreSQL is, how it is connected to, and which server answered.

psycopg is an extra of the package, imported when the first connection is opened.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 5
"""Longest try to reach one server."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is: a URL as libpq has it, without a password, and what returns that when it is needed."""

    url: str
    password: Callable[[], str | None] = field(default=lambda: None, repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """One of those that a URL may lead to, as libpq names it; `started` (its own time) tells it from any other."""

    host: str
    hostaddr: str
    port: int
    started: str


_DEFAULTS: Mapping[str, Any] = {
    "application_name": "replicator",
    "connect_timeout": CONNECT_SECONDS,
    # Of several servers the one that may be written; and a dead one is noticed within a quarter of a minute.
    "target_session_attrs": "read-write",
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def connect(place: Place, *, at: Server | None = None, autocommit: bool = True) -> "psycopg.Connection[Any]":
    """Return a connection of the driver's own, of the servers of the place only to the one `at` which this is asked.

    Without `autocommit` its first statement begins a transaction. Raises psycopg.Error, and SettingsError for a
    password that cannot be read.
    """
    from psycopg import Connection  # noqa: PLC0415 -- an extra
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 -- an extra

    wanted: dict[str, Any] = {"password": place.password(), **_DEFAULTS, **conninfo_to_dict(place.url)}
    if at is not None:
        wanted |= {"host": at.host, "hostaddr": at.hostaddr or None, "port": at.port}
    return Connection.connect(autocommit=autocommit, **wanted)


def server_of(connection: "psycopg.Connection[Any]") -> Server:
    """Ask which server this is. Raises psycopg.Error."""
    found: Any = connection.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::text").fetchone()
    info = connection.info
    return Server(info.host, info.hostaddr, info.port, found[0])


def in_one_line(error: Exception) -> str:
    """Return what the server or the library said."""
    with suppress(AttributeError):
        primary = error.diag.message_primary  # type: ignore[attr-defined]  # where the server said it
        if primary:
            return str(primary)
    return " ".join(str(error).split()) or type(error).__name__
