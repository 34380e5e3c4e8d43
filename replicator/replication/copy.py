"""Carry out a plan on one replica: bring the blobs, then put the manifests, wave by wave, the reference last (G2)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio

from replicator.clock import Clock
from replicator.model import Descriptor, Digest, Repository
from replicator.observability.labels import BlobResult
from replicator.observability.metrics import Metrics
from replicator.plan import BlobStep, ManifestStep, Plan
from replicator.replication.blob_body import BlobBody
from replicator.replication.kept_uploads import KeptUploads
from replicator.replication.pacing import Standing
from replicator.replication.ports import BlobLocations, Replica, Source
from replicator.replication.presence import Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.subscription import Subscription
from replicator.replication.together import together
from replicator.replication.waiting import wait_within

LEADER_LIMIT = 600.0
"""Longest wait for another worker's upload of the same blob, seconds; then the blob is sent again."""


@dataclass(slots=True)
class Tally:
    """Bytes of blobs of one copy, by how the replica came to hold them; `sent` counts every byte on the wire."""

    sent: int = 0
    mounted: int = 0
    present: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the workers of one lane share."""

    replica: Replica
    presence: Presence
    locations: BlobLocations
    reads: SharedReads
    slots: anyio.CapacityLimiter
    metrics: Metrics
    clock: Clock
    standing: Standing = field(default_factory=Standing)
    uploads: KeptUploads = field(default_factory=KeptUploads)


class Copy:
    """One run of one plan: `source`/`repository` there -> `target` on the replica."""

    def __init__(
        self, tools: Tools, source: Source, repository: Repository, target: Repository, tally: Tally
    ) -> None:
        self._tools = tools
        self._source = source
        self._repository = repository
        self._target = target
        self._learned: list[Digest] = []
        self.tally = tally
        self.publishing = False

    async def run(self, plan: Plan, may_publish: Callable[[], Awaitable[None]]) -> None:
        """Take every step; `may_publish` is asked right before the reference is put and raises to stop that.

        `publishing` is true from then on: an error after that leaves the outcome of the put unknown.
        """
        for blob in plan.present:
            self._settled(blob, BlobResult.EXISTED)
        reads = {step.blob.digest: self._subscribe(step.blob) for step in plan.blobs}
        try:
            await together([partial(self._bring, step, reads[step.blob.digest]) for step in plan.blobs])
        finally:
            for read in reads.values():
                read.close()
        for wave in plan.waves[:-1]:
            await together([partial(self._put, step) for step in wave])
        await self._remember(plan)
        await may_publish()
        self.publishing = True
        await self._put(plan.top)

    def _subscribe(self, blob: Descriptor) -> Subscription:
        return self._tools.reads.subscribe(self._source, self._repository, blob, self._tools.standing)

    async def _bring(self, step: BlobStep, read: Subscription) -> None:
        presence, blob = self._tools.presence, step.blob
        first: Subscription | None = read
        if presence.under_way(blob.digest) is not None:
            read.close()
            first = None
        while (leader := presence.under_way(blob.digest)) is not None:
            # A waiter holds no slot; when the leader fails or is cancelled, one of those who waited takes over.
            if not await wait_within(self._tools.clock, LEADER_LIMIT, leader.ended):
                break
        if presence.knows(self._target, blob.digest):
            self._settled(blob, BlobResult.SHARED)
        else:
            # Asked again: since the survey, another image may have brought the blob to its repository.
            holder = presence.holder(blob.digest)
            candidates = step.mount_from if holder is None else (holder, *step.mount_from)
            with presence.bring(self._target, blob.digest):
                how = await self._mount_or_send(blob, candidates, first)
                presence.learn(self._target, blob.digest)
            self._settled(blob, how)
        self._learned.append(blob.digest)
        read.close()

    async def _mount_or_send(
        self, blob: Descriptor, candidates: tuple[Repository, ...], first: Subscription | None
    ) -> BlobResult:
        replica, session = self._tools.replica, None
        for repository in candidates[:1]:
            session = await replica.mount_blob(self._target, blob, repository)
            if session is None:
                return BlobResult.MOUNTED
        async with self._tools.slots:
            with self._tools.metrics.transferring(replica.name):
                body = self._body(blob, first)
                metrics = self._tools.metrics
                resumption = self._tools.uploads.resumption(replica, self._target, body, metrics)
                await replica.send_blob(self._target, blob, body, session, resumption)
        return BlobResult.COPIED

    def _body(self, blob: Descriptor, first: Subscription | None) -> BlobBody:
        """Return what gives the blob's bytes anew for each try of an upload; `first` is used up by the first."""
        return BlobBody(
            reads=self._tools.reads,
            source=self._source,
            repository=self._repository,
            blob=blob,
            standing=self._tools.standing,
            on_sent=self._sent,
            trail=self._tools.uploads.trail(self._target, blob),
            shared=first,
        )

    def _sent(self, count: int) -> None:
        self.tally.sent += count
        self._tools.metrics.bytes_copied(self._tools.replica.name, count)

    def _settled(self, blob: Descriptor, how: BlobResult) -> None:
        self._tools.metrics.blob_settled(self._tools.replica.name, how, blob.size)
        if how is BlobResult.MOUNTED:
            self.tally.mounted += blob.size
        elif how is not BlobResult.COPIED:
            self.tally.present += blob.size

    async def _put(self, step: ManifestStep) -> None:
        await self._tools.replica.write_manifest(self._target, step.reference, step.manifest)
        self._tools.presence.learn(self._target, step.manifest.digest)

    async def _remember(self, plan: Plan) -> None:
        # Blobs that a mount may use later; the config and layers found present count as well.
        digests = [*self._learned, *(blob.digest for blob in plan.present)]
        if digests:
            await self._tools.locations.remember_blobs(self._tools.replica.name, self._target, digests)
