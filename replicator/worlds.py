"""The world in use and those before it, whose last work goes on; listeners always see the one in use."""

from collections.abc import Mapping
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from replicator.errors import SettingsError
from replicator.intake.inlets import Inlets
from replicator.intake.receiver import Doors
from replicator.lacks import Look
from replicator.model import Change, Descriptor, Digest, Intent, Reference, Repository
from replicator.notify.notifications import Addressed
from replicator.observability.summary import Summary
from replicator.policy import Policy
from replicator.registry.client import RegistryClient
from replicator.replication.lane_view import LaneView
from replicator.routing import Reasons
from replicator.settings.schema import Settings
from replicator.sweep.sweeper import Sweeper
from replicator.world import World

FORMER_MAX = 2
"""Former worlds whose copies may go on: with one more, the oldest one's are given back and done by the new lanes."""


class Worlds:
    """Runs the lanes of one world after the other; is what the admin listener and the receiver ask."""

    def __init__(self, first: World) -> None:
        self._used = first
        self._former: list[World] = []
        self._group: TaskGroup | None = None
        self._exchanged = anyio.Event()
        self._sweeping = anyio.Lock()

    @property
    def used(self) -> World:
        """The world that takes all new work."""
        return self._used

    async def run(self) -> None:
        """Run until `drain` has ended the lanes of all worlds, or the caller cancels."""
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._live, self._used)

    def use(self, world: World) -> None:
        """Have `world` take all new work from now on. What is under way goes on where it is."""
        if self._group is None:
            raise RuntimeError("no world is running yet")
        before, self._used = self._used, world
        self._former.append(before)
        _stop_comparing(before)
        before.engine.retire()
        world.metrics.forget(before.scope)
        for old in self._former[:-FORMER_MAX]:
            old.engine.stop_jobs()
        self._group.start_soon(self._live, world)
        self._exchanged.set()
        self._exchanged = anyio.Event()

    async def drain(self, grace: float) -> None:
        """Take no new work, let copies under way end within `grace` seconds, then cut them short."""
        async with anyio.create_task_group() as group:
            for world in (*self._former, self._used):
                _stop_comparing(world)
                group.start_soon(world.engine.drain, grace)

    async def close(self) -> None:
        """End all connections to registries."""
        for client in _clients(self._used, *self._former):
            await client.close()

    async def _live(self, world: World) -> None:
        async with anyio.create_task_group() as group:
            if world.sweeper is not None:
                group.start_soon(self._sweep, world.sweeper)
            if world.verifier is not None:
                group.start_soon(world.verifier.run)
            await world.engine.run()
            _stop_comparing(world)
        if world in self._former:
            self._former.remove(world)
            # It may have counted for a name that was forgotten when it was left.
            self._used.metrics.forget(world.scope)
            needed = _clients(self._used, *self._former)
            for client in _clients(world) - needed:
                await client.close()

    async def _sweep(self, sweeper: Sweeper) -> None:
        """Sweep once the former sweeper has ended: what it keeps last must not undo what this one finds due."""
        async with self._sweeping:
            await sweeper.run()

    # What listeners ask

    def settings(self) -> Settings:
        """Return the settings in use."""
        return self._used.settings

    def doors(self) -> Doors:
        """Return the endpoints for webhooks."""
        return self._used.doors

    def inlets(self) -> Inlets:
        """Return what becomes of the messages of each subscription."""
        return self._used.inlets

    def addressed(self) -> Addressed:
        """Return who is told of what happens."""
        return self._used.addressed

    def exchanged(self) -> anyio.Event:
        """Return what is set once another world is used."""
        return self._exchanged

    def lanes(self) -> Mapping[str, LaneView]:
        """Return each replica's lane; what former lanes still work on counts as in flight."""
        views = dict(self._used.engine.lanes())
        for world in self._former:
            for name, former in world.engine.lanes().items():
                if name in views:
                    views[name] = replace(views[name], inflight=views[name].inflight + former.inflight)
        return views

    async def heed_pause(self, replica: str) -> None:
        """Have a replica's lane ask the store whether it is paused; one that a reload begins asks by itself."""
        if self._used.settings.replica(replica) is not None:
            await self._used.engine.heed_pause(replica)

    async def try_again(self, replica: str) -> None:
        """Have all that failed for a replica done now; nothing of one that a reload took away meanwhile."""
        if self._used.settings.replica(replica) is not None:
            await self._used.engine.try_again(replica)

    def credentials_changed(self, registry: str) -> None:
        """Have the client of a registry log in anew; nothing of one that a reload took away meanwhile."""
        client = self._used.registries.get(registry)
        if client is not None:
            client.credentials_changed()

    def mended(self, replica: str) -> None:
        """Have a replica's lane look at once for what is due."""
        if self._used.settings.replica(replica) is not None:
            self._used.engine.mended(replica)

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names on the primary. Raises RegistryError, ContentError."""
        primary = self._used.registries[self._used.settings.primary.name]
        return await primary.stat_manifest(repository, reference)

    async def holds(self, replica: str, repository: Repository, digest: Digest) -> bool:
        """Ask `replica` for a digest. Raises RegistryError, ContentError; SettingsError when it is gone."""
        if self._used.settings.replica(replica) is None:
            raise SettingsError(f"{replica} is not configured any more")
        return await self._used.presence.holds(replica, repository, digest)

    async def look(
        self, replica: str, repository: Repository, reference: Reference, digest: Digest, policy: Policy
    ) -> Look:
        """Return what `replica` shows, and what it lacks of `digest`."""
        return await self._used.inspector.look(replica, repository, reference, digest, policy)

    def route(self, change: Change, now: float) -> tuple[Intent, ...]:
        """Return an intent for each replica that a rule sends `change` to."""
        return self._used.router.route(change, now)

    def replicas_for(self, repository: Repository, reference: Reference) -> tuple[str, ...]:
        """Return the replicas that a rule sends `reference` to."""
        return self._used.router.replicas_for(repository, reference)

    def policy(self, replica: str, repository: Repository, reference: Reference) -> Policy:
        """Return what of a reference a replica is to hold."""
        return self._used.router.policy(replica, repository, reference)

    def reasons(self, replica: str, repository: Repository, reference: Reference) -> Reasons:
        """Return which rule sends a reference to a replica, and why others do not."""
        return self._used.router.reasons(replica, repository, reference)

    def update_owed(self, replica: str, kind: str) -> None:
        """Count an update that became owed."""
        self._used.metrics.update_owed(replica, kind)

    def summary(self, summary: Summary, /) -> None:
        """Take over a reading of the store."""
        self._used.metrics.summary(summary)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics page and its content type."""
        return self._used.metrics.exposition(accept)


def _stop_comparing(world: World) -> None:
    if world.sweeper is not None:
        world.sweeper.stop()
    if world.verifier is not None:
        world.verifier.stop()


def _clients(*worlds: World) -> set[RegistryClient]:
    return {client for world in worlds for client in world.registries.values()}
