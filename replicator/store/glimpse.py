"""A look at the store from outside the daemon: read-only, beside a running one or with none, and with no lock."""

import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread

from replicator.clock import SystemClock
from replicator.errors import StoreError
from replicator.model import Digest, Repository, Tag
from replicator.settings.schema import Store as Where
from replicator.store import queries
from replicator.store.connections import open_reader
from replicator.store.postgres import open_to_read
from replicator.store.prepared import Connection
from replicator.store.sweep_rows import KnownTag
from replicator.store.sweeps import known_tags

T = TypeVar("T")


class Glimpse:
    """What the store remembers of blobs and of tags; only ever a hint, so that trouble is no error.

    `problem` says what kept it from being read, "" nothing. Without a store nothing is remembered.
    """

    def __init__(self, connection: Connection | None, problem: str = "") -> None:
        self._connection = connection
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self.problem = problem

    async def locations(self, replica: str, digests: Sequence[Digest]) -> Mapping[Digest, tuple[Repository, ...]]:
        """Return for each blob repositories of the replica that hold it, newest first."""
        return await self._ask(lambda one: queries.locations(one, replica, digests)) or {}

    async def tags(
        self, replicas: Sequence[str], name: Repository, *, after: Tag | None = None, upto: Tag | None = None
    ) -> tuple[KnownTag, ...]:
        """Return what was known of the tags behind `after` up to and with `upto`, on these replicas."""
        return await self._ask(known_tags(replicas, name, after=after, upto=upto)) or ()

    async def _ask(self, question: Callable[[Connection], T]) -> T | None:
        if self._connection is None or self.problem:
            return None
        try:
            return await anyio.to_thread.run_sync(question, self._connection, limiter=self._one_at_a_time)
        except (sqlite3.Error, StoreError) as error:
            self.problem = str(error)
            return None


@asynccontextmanager
async def glimpse(where: Where) -> AsyncIterator[Glimpse]:
    """Yield a look at a store, which need not exist."""
    connection, problem = await anyio.to_thread.run_sync(_open, where)
    try:
        yield Glimpse(connection, problem)
    finally:
        if connection is not None:
            connection.close()


def _open(where: Where) -> tuple[Connection | None, str]:
    try:
        if where.on_server:
            return open_to_read(where, SystemClock(), random.Random()), ""  # noqa: S311 -- pauses
        return _open_file(where.sqlite_path), ""
    except (StoreError, sqlite3.Error, OSError) as error:
        return None, str(error)


def _open_file(path: Path) -> sqlite3.Connection | None:
    if not path.exists():
        return None
    if path.with_name(f"{path.name}-wal").exists():
        return open_reader(path)
    # Nobody has it open. A reader would leave files beside it, unless it takes the database as it lies there.
    name = f"file:{quote(str(path))}?mode=ro&immutable=1"
    return sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
