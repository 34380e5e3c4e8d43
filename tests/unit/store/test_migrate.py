"""The schema is what the code believes it is, arrives whole or not at all, and disturbs nobody."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from replicator.errors import StoreError
from replicator.store import migrate as migration
from replicator.store.connections import open_writer
from replicator.store.event_tables import metadata
from replicator.store.lock import make_private
from replicator.store.migrate import apply_steps, migrate, newest


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


def take_all_steps(connection: sqlite3.Connection) -> None:
    """Make the tables as a database has them that was there from the first version on."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.begin() as shared:
        apply_steps(shared)


def plain(sql: str) -> list[str]:
    return sorted(sql.replace("intent.", "").replace(",", " ").replace("(", " ( ").replace(")", " ) ").split())


def test_the_migrations_make_what_the_tables_say(connection: sqlite3.Connection) -> None:
    take_all_steps(connection)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as shared:
        assert compare_metadata(MigrationContext.configure(shared), metadata) == []


def test_the_migrations_make_every_option_of_the_tables(connection: sqlite3.Connection) -> None:
    """Checks, partial indexes and WITHOUT ROWID, which a comparison of columns does not see."""
    take_all_steps(connection)
    with closing(sqlite3.connect(":memory:")) as fresh:
        engine = create_engine("sqlite://", creator=lambda: fresh, poolclass=StaticPool)
        with engine.begin() as shared:
            metadata.create_all(shared)
        expected = objects(fresh)
    made = objects(connection)
    assert made.keys() == expected.keys()
    for name, sql in expected.items():
        assert plain(made[name]) == plain(sql), name


def test_an_empty_database_gets_at_once_what_all_steps_make(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """With what they write, and the name of the last one: the next version goes on from there."""
    migrate(connection)
    scripts = ScriptDirectory(str(Path(migration.__file__).parent / "migrations"))
    assert newest() == scripts.get_current_head()
    make_private(tmp_path / "old.db")
    with closing(open_writer(tmp_path / "old.db")) as old:
        take_all_steps(old)
        made, expected = objects(connection), objects(old)
        assert {name: plain(sql) for name, sql in made.items()} == {
            name: plain(sql) for name, sql in expected.items()
        }
        for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = f"SELECT * FROM {name}"
            assert connection.execute(rows).fetchall() == old.execute(rows).fetchall(), name
        of_alembic = "SELECT sql FROM sqlite_master WHERE name = 'alembic_version'"
        assert plain(*connection.execute(of_alembic).fetchone()) == plain(*old.execute(of_alembic).fetchone())


def test_migrating_again_changes_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection)
    before = objects(connection)
    migrate(connection)
    assert objects(connection) == before
    assert connection.execute("SELECT count(*) FROM state").fetchall() == [(1,)]


@pytest.mark.parametrize("begun", [False, True])
def test_a_migration_that_breaks_off_leaves_nothing(connection: sqlite3.Connection, *, begun: bool) -> None:
    def no_state(action: int, name: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE and name == "state" else sqlite3.SQLITE_OK

    if begun:  # no step is applied, but there is the table of them
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
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
