"""Brings a database to the schema of this version, in one transaction: after a crash it is the old one or the new."""

import sqlite3
from functools import cache
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from replicator.errors import StoreError
from replicator.store.event_tables import metadata
from replicator.store.tables import state

_SCRIPTS = Path(__file__).parent / "migrations"
_OF_ALEMBIC = MetaData()
_version = Table(
    "alembic_version",
    _OF_ALEMBIC,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database, or apply the steps that an older one lacks. Raises StoreError."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", _begin)
    upgrade(engine)


def upgrade(engine: Engine) -> None:
    """Do so in the engine's database, in one transaction. Raises StoreError, with nothing applied."""
    try:
        with engine.begin() as shared:
            if not inspect(shared).has_table(_version.name):
                _make(shared)
            elif shared.execute(select(_version)).scalars().all() != [newest()]:
                apply_steps(shared)
    except (DBAPIError, sqlite3.Error) as error:
        raise StoreError(f"the database cannot be brought up to date: {error}") from error


@cache
def newest() -> str:
    """Return the name of the last step, by the names of the files."""
    return max(path.name for path in (_SCRIPTS / "versions").glob("v*.py"))[1:5]


def apply_steps(shared: Connection, until: str = "head") -> None:
    """Apply the steps that the database lacks, in its transaction. Raises StoreError for one that is not known."""
    # To import it takes a twelfth of the daemon's start, which comes without a step nearly always.
    from alembic import command  # noqa: PLC0415 -- see above
    from alembic.config import Config  # noqa: PLC0415 -- see above
    from alembic.util import CommandError  # noqa: PLC0415 -- see above

    settings = Config()
    settings.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    settings.attributes["connection"] = shared
    try:
        command.upgrade(settings, until)
    except CommandError as error:
        raise StoreError(f"the database was made by a newer version of replicator: {error}") from error


def _make(shared: Connection) -> None:
    metadata.create_all(shared, checkfirst=False)
    _OF_ALEMBIC.create_all(shared, checkfirst=False)
    shared.execute(state.insert().values(id=1, epoch=0, heartbeat_at=0.0))
    shared.execute(_version.insert().values(version_num=newest()))


def _begin(shared: Connection) -> None:
    # The driver runs in autocommit mode and opens no transaction of its own: schema changes would commit one by one.
    shared.exec_driver_sql("BEGIN IMMEDIATE")
