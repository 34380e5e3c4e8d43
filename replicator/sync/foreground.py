"""A sync where no daemon runs: with lanes of its own, which work as long as it does."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio

from replicator.clock import Clock
from replicator.correlation import delivery_id
from replicator.observability.metrics import Metrics
from replicator.registry.client import RegistryClient
from replicator.replication.engine import Engine
from replicator.replication.watchers import Watchers
from replicator.settings.schema import Settings
from replicator.store.store import Store
from replicator.sweep.selection import Selection
from replicator.sync.sync import Sync, means_of, paused


@asynccontextmanager
async def sync_with_own_lanes(  # noqa: PLR0913 -- what the daemon would hold, each by its name
    settings: Settings,
    names: Sequence[str],
    selection: Selection,
    *,
    registries: Mapping[str, RegistryClient],
    store: Store,
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
    means = means_of(chosen, registries, store, metrics, watchers, clock)
    sync = Sync(means, selection, left_alone=await paused(store, names), delivery=delivery_id())
    async with anyio.create_task_group() as group:
        group.start_soon(engine.run)
        yield sync
        group.cancel_scope.cancel()
