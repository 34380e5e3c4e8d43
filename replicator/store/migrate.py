"""Brings a database to the schema of this version, in one transaction: after a crash it is the old one or the new."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from replicator.errors import StoreError
from replicator.store.event_tables import metadata
from replicator.store.tables import state

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the schema steps that the database lacks. Raises StoreError, with nothing applied."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", _begin)
    upgrade(engine)


def upgrade(engine: Engine) -> None:
    """Apply the steps that the engine's database lacks, in one transaction. Raises StoreError."""
    settings = Config()
    settings.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    try:
        with engine.begin() as shared:
            settings.attributes["connection"] = shared
            if engine.dialect.name == "postgresql" and not inspect(shared).has_table("alembic_version"):
                # The steps up to here were written for SQLite and its history.
                metadata.create_all(shared)
                shared.execute(state.insert().values(id=1, epoch=0, heartbeat_at=0.0))
                command.stamp(settings, "head")
            command.upgrade(settings, "head")
    except CommandError as error:
        raise StoreError(f"the database was made by a newer version of replicator: {error}") from error
    except (DBAPIError, sqlite3.Error) as error:
        raise StoreError(f"the database cannot be brought up to date: {error}") from error


def _begin(shared: Connection) -> None:
    # The driver runs in autocommit mode and opens no transaction of its own: schema changes would commit one by one.
    shared.exec_driver_sql("BEGIN IMMEDIATE")
