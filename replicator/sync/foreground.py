"""A sync where no daemon runs: with lanes of its own, which work as long as it does."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio

from replicator.clock import Clock
from replicator.forecast.forecaster import Means as LookingMeans
from replicator.forecast.replica_rows import Replica
from replicator.observability.metrics import Metrics
from replicator.registry.client import RegistryClient
from replicator.replication.engine import Engine
from replicator.replication.watchers import Watchers
from replicator.routing import Router
from replicator.settings.schema import PRIMARY, Settings
from replicator.store.sqlite import SqliteStore
from replicator.sweep.selection import Selection
from replicator.sync.sync import Means, Sync


@asynccontextmanager
async def sync_with_own_lanes(  # noqa: PLR0913 -- what the daemon would hold, each by its name
    settings: Settings,
    names: Sequence[str],
    selection: Selection,
    *,
    registries: Mapping[str, RegistryClient],
    store: SqliteStore,
    metrics: Metrics,
    clock: Clock,
) -> AsyncIterator[Sync]:
    """Yield a sync of the replicas `names`, to be run inside the block.

    Their lanes work on all that the store says is owed to them. At the end of the block they stop at once: leases are
    given back and uploads kept, so that whoever comes next goes on. Errors come out in a group.
    """
    chosen = settings.model_copy(update={"replicas": tuple(one for one in settings.replicas if one.name in names)})
    watchers = Watchers()
    engine = Engine(
        settings=chosen,
        store=store,
        registries=registries,
        metrics=metrics,
        clock=clock,
        rng=random.Random(),  # noqa: S311 -- jitter, not a secret
        watchers=watchers,
    )
    looks = LookingMeans(
        primary=registries[PRIMARY],
        replicas={one.name: Replica(registries[one.name], one.repository_prefix) for one in chosen.replicas},
        rules=Router(settings),
        memory=store,
        counts=metrics.sweeps,
        clock=clock,
    )
    means = Means(looks=looks, sink=store, updates=metrics, watchers=watchers)
    sync = Sync(means, selection, left_alone=await paused(store, names))
    async with anyio.create_task_group() as group:
        group.start_soon(engine.run)
        yield sync
        group.cancel_scope.cancel()


async def paused(store: SqliteStore, names: Sequence[str]) -> dict[str, str]:
    """Return which replicas are paused, and what to do about it. Raises StoreError."""
    return {
        name: f"it is paused: replicator resume {name}"
        for name in names
        if await store.paused_since(name) is not None
    }
