"""The schema is what the code believes it is, arrives whole or not at all, and disturbs nobody."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from replicator.errors import StoreError
from replicator.store.connections import open_writer
from replicator.store.event_tables import metadata
from replicator.store.lock import make_private
from replicator.store.migrate import migrate


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    make_private(tmp_path / "replicator.db")
    with closing(open_writer(tmp_path / "replicator.db")) as connection:
        yield connection


def objects(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the SQL of all that the database holds, in one spelling."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    )
    return {name: " ".join(sql.split()) for name, sql in found}


def test_the_migrations_make_what_the_tables_say(connection: sqlite3.Connection) -> None:
    migrate(connection)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as shared:
        assert compare_metadata(MigrationContext.configure(shared), metadata) == []


def test_the_migrations_make_every_option_of_the_tables(connection: sqlite3.Connection) -> None:
    """Checks, partial indexes and WITHOUT ROWID, which a comparison of columns does not see."""
    migrate(connection)
    with closing(sqlite3.connect(":memory:")) as fresh:
        engine = create_engine("sqlite://", creator=lambda: fresh, poolclass=StaticPool)
        with engine.begin() as shared:
            metadata.create_all(shared)
        expected = objects(fresh)
    made = objects(connection)
    assert made.keys() == expected.keys()

    def plain(sql: str) -> list[str]:
        return sorted(sql.replace("intent.", "").replace(",", " ").replace("(", " ( ").replace(")", " ) ").split())

    for name, sql in expected.items():
        assert plain(made[name]) == plain(sql), name


def test_migrating_again_changes_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection)
    before = objects(connection)
    migrate(connection)
    assert objects(connection) == before
    assert connection.execute("SELECT count(*) FROM state").fetchall() == [(1,)]


def test_a_migration_that_breaks_off_leaves_nothing(connection: sqlite3.Connection) -> None:
    def no_state(action: int, name: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE and name == "state" else sqlite3.SQLITE_OK

    connection.set_authorizer(no_state)
    with pytest.raises(StoreError, match="brought up to date"):
        migrate(connection)
    connection.set_authorizer(None)
    assert objects(connection) == {}
    migrate(connection)
    assert "state" in objects(connection)


def test_a_database_of_a_newer_version_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version"):
        migrate(connection)


def test_logging_stays_as_it_was_set_up(connection: sqlite3.Connection) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers), logging.getLogger("replicator").disabled
    migrate(connection)
    assert (root.level, list(root.handlers), logging.getLogger("replicator").disabled) == before
