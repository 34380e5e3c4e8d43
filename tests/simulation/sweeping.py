"""The sweeps of a simulated run, over the lists of the registry in memory."""

import asyncio
import random

from replicator.observability.metrics import Metrics
from replicator.routing import Router
from replicator.store.sweeps import Sweeps
from replicator.sweep.activity import Activity
from replicator.sweep.examine import Means
from replicator.sweep.repositories import Chosen
from replicator.sweep.schedule import Rhythm
from replicator.sweep.sweeper import Sweeper
from tests.unit.replication.model_catalog import ModelCatalog
from tests.unit.replication.rig import Rig

EVERY, FULL_EVERY = 60.0, 240.0
"""Seconds after which tags, and digests, of a repository are compared at the latest."""


class Sweeping:
    """The daemon's sweeps over one rig; ends and begins with its engine."""

    def __init__(self, rig: Rig, rng: random.Random) -> None:
        self._rig = rig
        self._rng = rng
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run in the background, over the store that the rig has now."""
        rig, router = self._rig, Router(self._rig.settings)
        metrics: Metrics = rig.metrics
        means = Means(
            primary=ModelCatalog(rig.source),
            sweeps=Sweeps(rig.store),
            sink=rig.store,
            deletions=rig.store,
            routes=router,
            scope=router.scope,
            replicas=tuple(rig.replicas),
            counts=metrics.sweeps,
            updates=metrics,
            clock=rig.clock,
        )
        sweeper = Sweeper(
            means,
            chosen=Chosen((), router),
            rhythm=Rhythm(every=EVERY, full_every=FULL_EVERY),
            activity=Activity(rig.clock.now()),
            rng=self._rng,
        )
        self.running = asyncio.create_task(sweeper.run())

    async def end(self) -> None:
        """End without a word."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])
            self.running = None

    async def saw_all_since(self, moment: float) -> bool:
        """Say whether all digests were compared by passes that began after `moment` (Unix seconds)."""
        seen = (await Sweeps(self._rig.store).summary()).digests_at
        return seen is not None and seen > moment
