"""Opens the store that the settings name, on either engine."""

import random

import anyio

from replicator.clock import Clock
from replicator.settings.schema import Store as Where
from replicator.store.postgres import PostgresStore, place_of
from replicator.store.sqlite import SqliteStore
from replicator.store.store import Store
from replicator.store.writer import StoreObserver


async def open_store(
    where: Where, *, clock: Clock, rng: random.Random, observer: StoreObserver | None = None
) -> Store:
    """Open it. Raises Held while another daemon works with one on PostgreSQL, StoreError when it cannot be used."""
    if not where.on_server:
        return await SqliteStore.open(where.sqlite_path, clock=clock, observer=observer)
    return await PostgresStore.open(place_of(where), clock=clock, rng=rng, observer=observer)


async def is_missing(where: Where) -> bool:
    """Say whether there is surely no store yet: of a database on a server only opening it tells."""
    return not where.on_server and not await anyio.Path(where.sqlite_path).exists()
