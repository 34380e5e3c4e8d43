"""All lanes over one store and one set of registries, their shared source reads, and the figures they report."""

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

import anyio
import structlog

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.model import IntentKey
from replicator.observability.labels import LaneState
from replicator.observability.metrics import Metrics
from replicator.replication.asides import RowAsides
from replicator.replication.deletes import Deletes
from replicator.replication.deletion_ports import DeletionStore
from replicator.replication.delivery import Delivery
from replicator.replication.events import ReplicationEvent
from replicator.replication.kept_uploads import KeptUploads
from replicator.replication.lane import Lane
from replicator.replication.lane_kit import LaneKit
from replicator.replication.lane_view import LaneView
from replicator.replication.mounts import Mounts
from replicator.replication.ports import IntentStore, Replica, Source, UploadStore
from replicator.replication.presence import Presence
from replicator.replication.removal import Removal
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.standstill import Standstills
from replicator.replication.survey import ManifestCache
from replicator.replication.tag_reads import TagReads
from replicator.replication.tools import SMALL_AT_ONCE, Tools
from replicator.replication.watchers import Watchers
from replicator.replication.worker import Worker
from replicator.retry import RetryPolicy
from replicator.routing import Router
from replicator.settings.schema import ReplicaSettings, Settings
from replicator.store.rows import StoreSummary

REPORT_EVERY = 5.0
"""Seconds between readings of the store for the metrics."""
_BLOBS_MAX = 8
_BLOBS_MAX_FAR = 16
_BLOBS_OF_ALL = 32
"""On a long line each connection is slow, and half of the time is waiting; memory bounds what all lanes may send."""
_FAR = 0.02
"""Seconds of the quickest answers from which on a registry is far away."""
_RESERVED_CONNECTIONS = 2

_log = structlog.get_logger(__name__)


class EngineStore(IntentStore, UploadStore, DeletionStore, Protocol):
    """The store as the engine needs it: the lanes' part and the figures."""

    async def summary(self) -> StoreSummary:
        """Return what each replica is owed."""
        ...

    async def count_deadline_missed(self, replica_objective_seconds: float) -> Mapping[str, int]:
        """Return, by replica, how many rows crossed the objective since last asked."""
        ...


class Registry(Source, Replica, Protocol):
    """A registry client, which can be both ends."""

    @property
    def latency(self) -> float:
        """How long the quickest answers took of late, seconds; 0 as long as there was none."""
        ...


class Engine:
    """The part of the daemon that copies, for one configuration; built once, run once."""

    def __init__(  # noqa: PLR0913 -- what an engine works with, each by its name
        self,
        *,
        settings: Settings,
        store: EngineStore,
        registries: Mapping[str, Registry],
        metrics: Metrics,
        clock: Clock,
        rng: random.Random,
        watchers: Watchers | None = None,
        standstills: Standstills | None = None,
    ) -> None:
        self._router = Router(settings)
        self._settings = settings
        self._store = store
        self._registries = registries
        self._metrics = metrics
        self._clock = clock
        self._watchers = watchers or Watchers()
        self._standstills = standstills or Standstills()
        self._asides = RowAsides(store, metrics, clock)
        self._reads = SharedReads(clock=clock, on_read=metrics.source_bytes_read)
        self._tags = TagReads(clock)
        cache = ManifestCache()
        self._lanes = {one.name: self._lane(one, cache, rng) for one in settings.replicas}
        self._retired = False
        store.listen(self._changed)

    def lanes(self) -> Mapping[str, LaneView]:
        """Return each lane as it is now, by its replica's name."""
        return {name: lane.view() for name, lane in self._lanes.items()}

    async def run(self) -> None:
        """Run every lane until `drain` has ended them or the caller cancels."""
        try:
            async with self._reads, anyio.create_task_group() as reporting:
                reporting.start_soon(self._report)
                async with anyio.create_task_group() as lanes:
                    for lane in self._lanes.values():
                        lanes.start_soon(lane.run)
                reporting.cancel_scope.cancel()
        finally:
            self._store.unlisten(self._changed)

    async def drain(self, grace: float) -> None:
        """Take no new work, let copies under way end within `grace` seconds, then cut them short."""
        self._take_no_more()
        await self._clock.sleep(grace)
        self.stop_jobs()

    def retire(self) -> None:
        """Leave new work and the figures to another engine; `run` returns when the copies under way have ended."""
        self._retired = True
        self._take_no_more()

    async def try_again(self, replica: str) -> None:
        """Make all that failed for a replica due now: what it failed of is mended."""
        await self._lanes[replica].try_again()

    def mended(self, replica: str) -> None:
        """Have a lane look at once for what is due, and probe a replica that was taken for down."""
        self._lanes[replica].mended()

    async def heed_pause(self, replica: str) -> None:
        """Have a lane ask the store whether it is paused."""
        await self._lanes[replica].heed_pause()

    def stop_jobs(self) -> None:
        """Cut the copies under way short; their leases are given back and their uploads kept."""
        for lane in self._lanes.values():
            lane.stop_jobs()

    def _take_no_more(self) -> None:
        for lane in self._lanes.values():
            lane.drain()

    def _changed(self, keys: Sequence[IntentKey]) -> None:
        # The reads first: a lane that leases a change must not be given what was read before it.
        self._tags.changed(keys)
        for lane in self._lanes.values():
            lane.changed(keys)

    def _lane(self, replica: ReplicaSettings, cache: ManifestCache, rng: random.Random) -> Lane:
        settings = self._settings
        policy = RetryPolicy(first=settings.retry.first, max=settings.retry.max, park_after=settings.retry.park_after)
        registry, source = self._registries[replica.name], self._registries[replica.source]

        def blobs() -> int:
            return blobs_at_once(settings, replica, latency=max(registry.latency, source.latency))

        tools = Tools(
            replica=registry,
            presence=Presence(self._clock),
            mounts=Mounts(registry.capabilities, self._clock),
            locations=self._store,
            reads=self._reads,
            slots=Slots(blobs, self._clock),
            small_slots=Slots(SMALL_AT_ONCE, self._clock),
            metrics=self._metrics,
            clock=self._clock,
            uploads=KeptUploads(self._store),
            standstill=self._standstills.of(replica.url),
        )
        delivery = Delivery(tools, source, asides=self._asides, cache=cache, rng=rng)
        worker = Worker(
            tools,
            source=source,
            prefix=replica.repository_prefix,
            store=self._store,
            tags=self._tags,
            policies=self._router,
            deletes=Deletes(
                primary=self._registries[settings.primary.name],
                replica=registry,
                removal=Removal(tools, delivery.lists, self._store),
                store=self._store,
                policies=self._router,
                settings=settings.deletes,
                metrics=self._metrics.deletes,
                clock=self._clock,
            ),
            delivery=delivery,
            policy=policy,
            rng=rng,
        )
        kit = LaneKit(
            name=replica.name,
            workers=replica.max_connections,
            store=self._store,
            metrics=self._metrics,
            clock=self._clock,
            policy=policy,
            rng=rng,
            watchers=self._watchers,
        )
        return Lane(kit, worker)

    async def _report(self) -> None:
        while True:
            try:
                summary = await self._store.summary()
                missed = await self._store.count_deadline_missed(self._settings.objective.lag)
            except StoreError as error:
                # The lag gauge freezes, so lag grows: a stuck store must show.
                _log.error(ReplicationEvent.STORE_SUMMARY_FAILED, error=str(error))
            else:
                self._tell(summary, missed)
                await self._heed_pauses(summary)
            await self._clock.sleep(REPORT_EVERY)
            if self._retired:
                return

    def _tell(self, summary: StoreSummary, missed: Mapping[str, int]) -> None:
        if not self._retired:
            self._metrics.summary(summary)
            for name, lane in self._lanes.items():
                lane.seed(summary.replica(name).backfill > 0)
        # Rows of replicas that are not configured any more stay in the store and are nobody's lag.
        for replica in missed.keys() & self._lanes.keys():
            self._metrics.deadline_missed(replica, missed[replica])

    async def _heed_pauses(self, summary: StoreSummary) -> None:
        """Have a lane ask anew that takes itself for paused, or not, against what the store says.

        Its question right after an order may have failed.
        """
        for name, lane in self._lanes.items():
            paused = summary.replica(name).paused_since is not None
            if paused != (lane.view().state is LaneState.PAUSED):
                await lane.heed_pause()


def blobs_at_once(settings: Settings, replica: ReplicaSettings, *, latency: float) -> int:
    """Return how many blobs a lane sends at once, where the farther of both ends answers in `latency` seconds.

    Few enough that all lanes together, each reading alone because it is slow, leave connections to the primary free:
    a slow replica must not take what another needs (G6).
    """
    share = (settings.primary.max_connections - _RESERVED_CONNECTIONS) // len(settings.replicas)
    far = max(_BLOBS_MAX, min(_BLOBS_MAX_FAR, _BLOBS_OF_ALL // len(settings.replicas)))
    most = far if latency >= _FAR else _BLOBS_MAX
    return max(1, min(most, share, replica.max_connections - 1))
