"""A whole engine over model registries, a real store on disk and a clock that the test moves."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio

from replicator.errors import StoreError
from replicator.model import Digest, Intent, IntentKey, Lease, Priority, Recorded, Reference, Repository, Tag
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.capabilities import Capabilities
from replicator.replication.asides import RowAsides
from replicator.replication.deletes import Deletes
from replicator.replication.delivery import Delivery
from replicator.replication.engine import Engine
from replicator.replication.mounts import Mounts
from replicator.replication.ports import BlobLocations
from replicator.replication.presence import Presence
from replicator.replication.removal import Removal
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.standstill import Standstills
from replicator.replication.survey import ManifestCache
from replicator.replication.tag_reads import TagReads
from replicator.replication.tools import SMALL_AT_ONCE, Tools
from replicator.replication.worker import Job, Worker
from replicator.retry import RetryPolicy
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.outcome import Outcome
from replicator.store.rows import ReplicaSummary, Row
from replicator.store.sqlite import SqliteStore
from tests.support.content import Content
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import ModelRegistry

_PATIENCE = 30.0
"""Seconds of the processor's time, so that a busy machine makes no difference."""


class FaultyStore(SqliteStore):
    """A store of which the operations named in `broken` fail; what `before` holds comes first, cancelled or not."""

    broken: frozenset[str] = frozenset()
    before: Mapping[str, Callable[[], Awaitable[None]]] = MappingProxyType({})

    async def lease(
        self,
        replica: str,
        limit: int,
        seconds: float,
        *,
        room: Mapping[Priority, int] | None = None,
        longest_due: bool = False,
    ) -> tuple[Lease, ...]:
        """Lease, or fail."""
        self._fail("lease")
        await self._first("lease")
        return await super().lease(replica, limit, seconds, room=room, longest_due=longest_due)

    async def renew(self, held: Sequence[Lease], seconds: float) -> frozenset[IntentKey]:
        """Renew, or fail."""
        self._fail("renew")
        return await super().renew(held, seconds)

    async def settle(self, lease: Lease, outcome: Outcome) -> bool:
        """Settle, or fail."""
        self._fail("settle")
        return await super().settle(lease, outcome)

    async def release(self, held: Sequence[Lease]) -> None:
        """Release, or fail."""
        self._fail("release")
        await self._first("release")
        await super().release(held)

    async def make_due(self, replica: str, *, parked: bool = True, limit: int | None = None) -> int:
        """Make due, or fail."""
        self._fail("make_due")
        return await super().make_due(replica, parked=parked, limit=limit)

    async def paused_since(self, replica: str) -> float | None:
        """Say since when it is paused, or fail."""
        self._fail("paused_since")
        return await super().paused_since(replica)

    def _fail(self, operation: str) -> None:
        if operation in self.broken:
            raise StoreError("the disk is full")

    async def _first(self, operation: str) -> None:
        if operation in self.before:
            with anyio.CancelScope(shield=True):
                await self.before[operation]()


def settings_of(replicas: Sequence[str], **more: Any) -> Settings:
    """Return settings with these replicas; `workers` is what each may work on at once."""
    workers = more.pop("workers", 16)
    return Settings.model_validate(
        {
            "version": 1,
            "primary": {"url": "http://primary.example.com"},
            "replicas": [
                {"name": name, "url": f"http://{name}.example.com", "max_connections": workers} for name in replicas
            ],
            **more,
        }
    )


@dataclass
class Rig:
    """One primary, its replicas, and everything between them."""

    clock: FakeClock
    source: ModelRegistry
    replicas: Mapping[str, ModelRegistry]
    store: FaultyStore
    metrics: Metrics
    settings: Settings
    folder: Path
    seed: int = 0
    standstills: Standstills = field(default_factory=Standstills)
    engine: Engine = field(init=False)
    running: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.new_engine()

    @property
    def replica(self) -> ModelRegistry:
        """The only replica, or the first."""
        return next(iter(self.replicas.values()))

    def new_engine(self) -> None:
        """Make the engine anew, as after a crash."""
        self.engine = Engine(
            settings=self.settings,
            store=self.store,
            registries={"primary": self.source, **self.replicas},
            metrics=self.metrics,
            clock=self.clock,
            rng=random.Random(self.seed),
            standstills=self.standstills,
        )

    # What happens outside

    async def push(self, repository: Repository, tag: Tag, content: Content) -> Digest:
        """Push to the primary; the webhook comes at once."""
        self.source.hold(repository, content, tag)
        await self.event(repository, tag, content.digest)
        return content.digest

    async def push_and_hold(self, gate: Gate, repository: Repository, tag: Tag, content: Content) -> None:
        """Start, push, and return when the copy to the first replica stands at `gate`."""
        self.replica.hook = faults(gate)
        self.start()
        await self.push(repository, tag, content)
        await gate.reached.wait()

    async def event(
        self, repository: Repository, reference: Reference, digest: Digest | None, *, hold: float = 0.0
    ) -> tuple[Recorded, ...]:
        """Record a change for every replica."""
        now = self.clock.now()
        return await self.store.record(
            [
                Intent(key=IntentKey(name, repository, reference), digest=digest, since=now, due_at=now + hold)
                for name in self.replicas
            ]
        )

    # The daemon's life

    def start(self) -> None:
        """Run the engine in the background."""
        self.running = asyncio.create_task(self.engine.run())

    async def crash(self) -> None:
        """End it without a word."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])
            self.running = None

    async def kill(self) -> None:
        """End it as kill -9 does: nothing more is written; then start anew over what is on the disk."""
        self.store.broken = frozenset({"lease", "renew", "settle", "release", "make_due"})
        await self.crash()
        await self.store.close()
        self.store = await open_store(self.folder, self.clock)
        self.new_engine()
        self.start()

    async def until(self, check: Callable[[], Awaitable[Any] | Any], *, what: str, step: float = 0.0) -> None:
        """Return when `check` holds. Virtual time goes on by `step` seconds whenever all else had its turn."""
        deadline = time.process_time() + _PATIENCE
        while True:
            found = check()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if self.running is not None and self.running.done():
                self.running.result()
                raise AssertionError(f"the engine has ended, and not: {what}")
            if time.process_time() > deadline:
                raise AssertionError(f"never: {what}")
            await self.moment()
            self.clock.advance(step)

    async def moment(self) -> None:
        """Return when all that can go on without time passing has had its turn."""
        ready: Sequence[object] = asyncio.get_running_loop()._ready  # type: ignore[attr-defined] # noqa: SLF001
        for _ in range(10):
            await self.store.tick()
            for _ in range(20):
                await asyncio.sleep(0)
                if not ready:
                    # Idle passes of the loop would be half of what a run costs.
                    break

    async def quiet(self) -> None:
        """Return when nothing is owed and nothing is worked on."""
        await self.until(self.is_quiet, what="nothing is owed", step=0.05)

    async def is_quiet(self) -> bool:
        """Say whether all is done but the looks."""
        summary = await self.store.summary()
        busy = sum(lane.inflight for lane in self.engine.lanes().values())
        return not busy and not any(summary.replica(name).owed for name in self.replicas)

    async def owed(self, name: str = "eu") -> ReplicaSummary:
        """Return what a replica is owed."""
        return (await self.store.summary()).replica(name)

    async def has_failed(self, repository: Repository, reference: Reference) -> bool:
        """Say whether an attempt at a row has failed."""
        return (await self.row(repository, reference)).attempts > 0

    def metric(self, name: str) -> float:
        """Return the sum of all series whose text begins so."""
        page = self.metrics.exposition("text/plain")[0].decode()
        return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name))

    async def row(self, repository: Repository, reference: Reference, name: str = "eu") -> Row:
        """Return a row that must be there."""
        found = await self.store.row(IntentKey(name, repository, reference))
        if found is None:
            raise AssertionError(f"no row {name} {repository} {reference}")
        return found


async def open_store(folder: Path, clock: FakeClock) -> FaultyStore:
    """Open the store that a rig keeps in `folder`."""
    store = await FaultyStore.open(folder / "state" / "replicator.db", clock=clock)
    if not isinstance(store, FaultyStore):
        raise TypeError(store)
    return store


@asynccontextmanager
async def running_rig(folder: Path, names: Sequence[str] = ("eu",), **more: Any) -> AsyncIterator[Rig]:
    """Set everything up; the engine is not started yet."""
    clock, settings = FakeClock(), settings_of(names, **more)
    store = await open_store(folder, clock)
    rig = Rig(
        clock=clock,
        source=ModelRegistry("primary", Capabilities(clock)),
        replicas={name: ModelRegistry(name, Capabilities(clock)) for name in names},
        store=store,
        metrics=Metrics(Scope(replicas=tuple(names)), clock=clock),
        settings=settings,
        folder=folder,
    )
    try:
        yield rig
    finally:
        await rig.crash()
        await rig.store.close()


@dataclass
class Bench:
    """One worker without its lane: what becomes of one lease."""

    rig: Rig
    worker: Worker
    tools: Tools
    job: Job | None = None

    async def lease(self) -> Lease:
        """Take the one lease that is due."""
        (lease,) = await self.rig.store.lease("eu", 10, 60.0)
        return lease

    def new_job(self, lease: Lease) -> Job:
        """Return the job of a lease that the test took."""
        self.job = Job(lease)
        return self.job

    async def work(self, may_publish: Callable[[], Awaitable[None]] | None = None) -> Outcome:
        """Work on it and settle."""
        self.job = Job(await self.lease())
        outcome = await self.worker.work(self.job, may_publish or _always)
        assert await self.rig.store.settle(self.job.lease, outcome)
        return outcome


async def _always() -> None:
    """Publish."""


@asynccontextmanager
async def running_bench(
    folder: Path, *, prefix: str = "", locations: BlobLocations | None = None, **more: Any
) -> AsyncIterator[Bench]:
    """Set up a worker of the replica `eu`; blob locations are kept in the store unless given, `more` are settings."""
    async with (
        running_rig(folder, **more) as rig,
        SharedReads(clock=rig.clock, on_read=rig.metrics.source_bytes_read, pause=0) as reads,
    ):
        tools = Tools(
            replica=rig.replica,
            presence=Presence(rig.clock),
            mounts=Mounts(rig.replica.capabilities, rig.clock),
            locations=locations or rig.store,
            reads=reads,
            slots=Slots(4, rig.clock),
            small_slots=Slots(SMALL_AT_ONCE, rig.clock),
            metrics=rig.metrics,
            clock=rig.clock,
        )
        asides = RowAsides(rig.store, rig.metrics, rig.clock)
        tags = TagReads(rig.clock)
        rig.store.listen(tags.changed)
        delivery = Delivery(tools, rig.source, asides=asides, cache=ManifestCache(), rng=random.Random(0))
        worker = Worker(
            tools,
            source=rig.source,
            prefix=prefix,
            store=rig.store,
            tags=tags,
            policies=Router(rig.settings),
            deletes=Deletes(
                primary=rig.source,
                replica=rig.replica,
                removal=Removal(tools, delivery.lists, rig.store),
                store=rig.store,
                policies=Router(rig.settings),
                settings=rig.settings.deletes,
                metrics=rig.metrics.deletes,
                clock=rig.clock,
            ),
            delivery=delivery,
            policy=RetryPolicy(),
            rng=random.Random(0),
        )
        yield Bench(rig, worker, tools)
