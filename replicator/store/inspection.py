"""A look at where the store is, before or beside a daemon: nothing is made or changed, and no lock is taken."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicator.errors import SettingsError, StoreError
from replicator.settings.schema import Store as Where
from replicator.store.ownership import FIND_HOLDER, LOCK_KEY
from replicator.store.postgres import place_of
from replicator.store.postgres_place import connect, in_one_line

if TYPE_CHECKING:
    import psycopg

OLDEST_SERVER = 140_000
"""The oldest PostgreSQL that the statements are written for, as it tells its version."""
_MAGIC = b"SQLite format 3\0"
_STANDING = """
SELECT current_schema(), current_setting('fsync'), current_setting('synchronous_commit'),
pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
to_regclass(quote_ident(current_schema()) || '.alembic_version') IS NOT NULL
"""
_SESSION = """
SELECT coalesce(host(client_addr), 'a socket'), backend_start FROM pg_stat_activity WHERE pid = %(pid)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found: the `engine` and its version, whether there `is_there` a store, and what is in the way.

    `holder` says who works with it, "" where that is nobody, or is not told. `careless`: commits are not synced
    unless it is asked for, as the daemon does.
    """

    engine: str
    is_there: bool
    holder: str = ""
    careless: bool = False


def look(where: Where) -> Looked:
    """Look at the store that the settings name. Raises StoreError where a daemon could not work with it."""
    return _at_server(where) if where.on_server else _at_file(where.sqlite_path)


def _at_file(path: Path) -> Looked:
    directory = next(one for one in path.parents if one.exists())
    try:
        # A file without a name, which is gone when it is closed.
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0")
    except OSError as error:
        made = "" if directory == path.parent else f", so that {path.parent} cannot be made"
        raise StoreError(f"{directory} cannot be written ({error.strerror}){made}") from error
    if not path.exists():
        return Looked(engine="SQLite", is_there=False)
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    if begins not in {b"", _MAGIC}:
        raise StoreError(f"{path} is not a database of SQLite")
    if not os.access(path, os.W_OK):
        raise StoreError(f"{path} cannot be written")
    return Looked(engine="SQLite", is_there=True)


def _at_server(where: Where) -> Looked:
    from psycopg import Error  # noqa: PLC0415 -- an extra

    try:
        with connect(place_of(where)) as connection:
            return _standing(connection)
    except Error as error:
        raise StoreError(in_one_line(error)) from error
    except SettingsError as error:
        raise StoreError(f"the password cannot be read: {error}") from error


def _standing(connection: "psycopg.Connection[Any]") -> Looked:
    version = connection.info.server_version
    told = f"{version // 10000}.{version % 10000}"
    if version < OLDEST_SERVER:
        raise StoreError(f"the server is PostgreSQL {told}, and {OLDEST_SERVER // 10000} or newer is needed")
    row: Any = connection.execute(_STANDING).fetchone()
    schema, fsync, synchronous, read_only, may_make, is_there = row
    if read_only:
        raise StoreError("the database is a standby, or read-only")
    if schema is None:
        raise StoreError("the database has none of the schemas of its search_path")
    if fsync == "off":
        raise StoreError("the server runs with fsync = off: it may lose what was acknowledged")
    if not may_make:
        raise StoreError(f"the user may not make tables in the schema {schema}")
    return Looked(
        engine=f"PostgreSQL {told}", is_there=is_there, holder=_holder(connection), careless=synchronous == "off"
    )


def _holder(connection: "psycopg.Connection[Any]") -> str:
    has_it: Any = connection.execute(FIND_HOLDER, {"key": LOCK_KEY}).fetchone()
    found: Any = connection.execute(_SESSION, {"pid": has_it[0]}).fetchone() if has_it else None
    return "" if found is None else f"from {found[0]}, since {found[1]:%Y-%m-%d %H:%M:%S%z}"
