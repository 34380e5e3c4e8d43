"""Opens the store on PostgreSQL: for one daemon at a time; another may wait for its place (ownership)."""

import asyncio
import random
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.settings.schema import Store as Where
from replicator.store.leases import end_former_life
from replicator.store.migrate import upgrade
from replicator.store.moment import begin_writing
from replicator.store.ownership import Ownership
from replicator.store.postgres_connection import LeftBehind, PostgresConnection
from replicator.store.postgres_place import Place, Server, connect
from replicator.store.prepared import Connection
from replicator.store.session import Session
from replicator.store.store import Store
from replicator.store.writer import StoreObserver

if TYPE_CHECKING:
    import psycopg


T = TypeVar("T")
PATIENCE = 1.0
"""Seconds after which a thread that has not come round is looked at: does it wait for the server?"""

LAST_WORD = 5.0
"""Seconds that a server has to answer each question of a store that ends."""


class PostgresStore(Store):
    """A store on a server, whose connections are opened anew when they are cut."""

    _writing: PostgresConnection
    _connections: tuple[PostgresConnection, PostgresConnection]
    _looks: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls, place: Place, *, clock: Clock, rng: random.Random, observer: StoreObserver | None = None
    ) -> "PostgresStore":
        """Take the lock, bring the database up to date and end all leases of a former life.

        Raises Held while another daemon has it, StoreError when it cannot be used.
        """
        writing, session, reader = await anyio.to_thread.run_sync(_open, place, clock, rng)
        store = cls(session, reader, observer, lambda: None)
        store._writing, store._connections = writing, (reader, writing)
        return store

    def hurry(self) -> None:
        """As told; a COMMIT that waits may be kept all the same, as ever when its answer is lost."""
        if self._looks is None:
            self._cut_who_waits()

    def _cut_who_waits(self) -> None:
        for connection in self._connections:
            if connection.waits_for(LAST_WORD):
                connection.cut()
        self._looks = asyncio.get_running_loop().call_later(LAST_WORD / 5, self._cut_who_waits)

    async def close(self) -> None:
        """As ever; a server that answers nothing is not waited for, and has acknowledged nothing of what is lost."""
        self.hurry()
        try:
            await super().close()
        finally:
            if self._looks is not None:
                self._looks.cancel()

    async def tick(self) -> None:
        """As ever; but a server that is not reached, or hangs, is waited for: only a fault of our thread is one."""
        while True:
            try:
                with anyio.move_on_after(PATIENCE):
                    await super().tick()
                    return
            except StoreError:
                if not self.healthy():
                    raise
                return
            if self._writing.waits:
                return

    async def _read(self, query: Callable[[Connection], T]) -> T:
        """As ever; but who is cancelled leaves at once, however long the server takes to answer.

        The connection stays taken until then: whoever asks next waits for it.
        """
        scope = anyio.CancelScope()
        asking = asyncio.ensure_future(self._ask_within(scope, query))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            scope.cancel()  # one that waits for the connection waits no more
            asking.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise

    async def _ask_within(self, scope: anyio.CancelScope, query: Callable[[Connection], T]) -> T:
        with scope:
            try:
                return await super()._read(query)
            except LeftBehind:
                await super().tick()  # whoever writes finds out where the database is now
                return await super()._read(query)
        raise StoreError("whoever asked has left")


def _open(place: Place, clock: Clock, rng: random.Random) -> tuple[PostgresConnection, Session, PostgresConnection]:
    ownership = Ownership(str(uuid.UUID(int=rng.getrandbits(128), version=4)))
    try:
        return _open_as(ownership, place, clock, rng)
    except BaseException:
        ownership.failed()
        raise


def _open_as(
    ownership: Ownership, place: Place, clock: Clock, rng: random.Random
) -> tuple[PostgresConnection, Session, PostgresConnection]:
    writer = PostgresConnection(place, ownership.set_up, clock, rng)
    try:
        _migrate(place, writer.server)
        session = Session(writer, clock, owner=ownership.name)
        begin_writing(writer)
        end_former_life(session)
        ownership.began(writer)
        writer.execute("COMMIT")
        ownership.settled()
        return writer, session, PostgresConnection(place, _read_only, clock, rng, leader=writer)
    except BaseException:
        writer.close()
        raise


def _read_only(connection: PostgresConnection) -> None:
    connection.execute("SET default_transaction_read_only = on")


def _migrate(place: Place, server: Server | None) -> None:
    """Make the tables as they are now, or bring those of an earlier version up to date: in one transaction."""

    def transactional() -> "psycopg.Connection[Any]":
        return connect(place, at=server, autocommit=False)

    upgrade(create_engine("postgresql+psycopg://", creator=transactional, poolclass=NullPool))


def place_of(where: Where) -> Place:
    """Return where the settings say that the database is."""
    secret = where.password
    return Place(where.url, lambda: None if secret is None else secret.reveal())


def open_to_read(where: Where, clock: Clock, rng: random.Random) -> PostgresConnection:
    """Return a connection that only reads, beside whatever daemon works there. Raises StoreError."""
    return PostgresConnection(place_of(where), _read_only, clock, rng)
