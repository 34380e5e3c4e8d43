"""One blob on its way to a replica: known, on its way already, there, mounted, or sent (DESIGN 3, dedupe ladder).

The plan says how to begin. Others that bring the same blob are waited for in the line of its claim, holding no slot:
until its upload has ended, or, where a registry mounts only what a manifest names, until their manifests are put.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

from replicator.model import Descriptor, Digest, Repository
from replicator.observability.labels import BlobResult
from replicator.plan import SMALL, BlobStep, Way
from replicator.registry.upload_requests import UploadSession
from replicator.registry.urgency import current, urgent
from replicator.replication.blob_body import BlobBody
from replicator.replication.claims import Claim
from replicator.replication.mending import mend_blob
from replicator.replication.mounting import LEADER_LIMIT, Mounting
from replicator.replication.ports import Source
from replicator.replication.slots import Slots
from replicator.replication.subscription import Subscription
from replicator.replication.tools import Tools
from replicator.replication.waiting import wait_within
from replicator.together import together


@dataclass(slots=True)
class Tally:
    """Bytes of blobs of one job, by how the replica came to hold them; `sent` counts every byte on the wire.

    `missing` are the blobs that it does not hold yet, by size, of all that the job has planned.
    """

    sent: int = 0
    mounted: int = 0
    present: int = 0
    missing: dict[Digest, int] = field(default_factory=dict)


class Bringer:
    """Brings the blobs of one copy: `source`/`repository` there -> `target` on the replica.

    `learned` are blobs that it brought or found. `surplus` are sessions that were opened for nothing.
    """

    def __init__(
        self, tools: Tools, source: Source, repository: Repository, target: Repository, tally: Tally, claim: Claim
    ) -> None:
        self._tools = tools
        self._source = source
        self._repository = repository
        self._target = target
        self._tally = tally
        self._claim = claim
        self._mounting = Mounting(tools, target, claim)
        self.learned: list[Digest] = []
        self.surplus: list[UploadSession] = []

    def subscribe(self, blob: Descriptor) -> Subscription | None:
        """Register for the blob's bytes, so that lanes that are due together find each other.

        None for what is small: whoever needs its bytes gets them at once.
        """
        if _comes_whole(blob):
            return None
        with urgent(self._claim.urgency(blob.digest)):
            return self._tools.reads.subscribe(self._source, self._repository, blob, self._tools.standing)

    async def bring(self, step: BlobStep, read: Subscription | None) -> None:
        """Return when the replica holds the blob. Raises ContentError, RegistryError.

        `read` is its subscription, None for a small blob.
        """
        with urgent(self._claim.urgency(step.blob.digest)):
            await self._bring(step, read)

    async def _bring(self, step: BlobStep, read: Subscription | None) -> None:
        digest = step.blob.digest
        shared = read
        if read is not None and self._leaders(digest):
            # Whoever waits keeps nobody waiting: the source is read again should it come to that.
            read.close()
            shared = None
        holder = await self._after_others(digest)
        if step.way is Way.ANEW:
            how = await self._mend(step.blob, shared)
        elif self._tools.presence.proven(self._target, digest):
            how = BlobResult.SHARED
        elif holder is not None:
            how = await self._mount_or_send(step, (holder,), shared)
        else:
            how = await self._bring_alone(step, shared)
        self._tools.presence.learn(self._target, digest)
        self._claim.brought(digest, sent=how is BlobResult.COPIED)
        self.settled(step.blob, how)
        self.learned.append(digest)
        if read is not None:
            read.close()

    def settled(self, blob: Descriptor, how: BlobResult) -> None:
        """Account for a blob that the replica holds now."""
        self._tools.metrics.blob_settled(self._tools.replica.name, how, blob.size)
        self._tally.missing.pop(blob.digest, None)
        if how is BlobResult.MOUNTED:
            self._tally.mounted += blob.size
        elif how is not BlobResult.COPIED:
            self._tally.present += blob.size

    # Others who bring the same blob

    def _leaders(self, digest: Digest) -> list[Claim]:
        """Return who came first and is worth waiting for: where nothing can be mounted, those of our repository."""
        ahead = self._claim.ahead(digest)
        if not self._tools.mounts.hopeless:
            return ahead
        return [one for one in ahead if one.repository == self._target]

    async def _after_others(self, digest: Digest) -> Repository | None:
        """Wait until nobody is ahead, or one who is has brought the blob: return its repository if not ours.

        Leaders none of whose bytes moved for LEADER_LIMIT are waited for no longer.
        """
        clock, mounts = self._tools.clock, self._tools.mounts
        began = clock.monotonic()
        while leaders := self._leaders(digest):
            changed = self._claim.changed(digest)
            for one in leaders:
                one.hurry(digest, current().priority)
            brought = [one for one in leaders if one.has_brought(digest)]
            ours = [one for one in leaders if one.repository == self._target]
            if any(one in brought for one in ours):
                return None
            # One who brings it to our repository spares us the request, or the bytes if nothing can be mounted.
            if brought and not ours and not mounts.need_manifest:
                return brought[0].repository
            left = max(began, *(one.moved_at(digest) for one in leaders)) + LEADER_LIMIT - clock.monotonic()
            if left <= 0:
                return None
            await wait_within(clock, left, changed)
        return None

    # The blob itself

    async def _bring_alone(self, step: BlobStep, shared: Subscription | None) -> BlobResult:
        # Looked up again: since the survey another image may have brought the blob to its repository.
        holder = self._tools.presence.holder(step.blob.digest)
        candidates = step.mount_from if holder is None else (holder, *step.mount_from)
        if step.way is Way.BOTH and not candidates:
            return await self._ask_and_send(step, shared)
        if step.way is Way.ASK and await self._is_there(step):
            return BlobResult.EXISTED
        return await self._mount_or_send(step, candidates, shared, asked=step.way is Way.ASK)

    async def _mend(self, blob: Descriptor, shared: Subscription | None) -> BlobResult:
        """Replace what the registry has with wrong bytes."""
        tools = self._tools

        async def send() -> None:
            await self._send(blob, shared, await tools.replica.start_upload(self._target))

        async with self._slots(blob).place(blob.size, shared):
            return await mend_blob(
                tools.replica, self._target, blob, send, unmended=tools.unmended, clock=tools.clock
            )

    async def _ask_and_send(self, step: BlobStep, shared: Subscription | None) -> BlobResult:
        place = self._slots(step.blob).take_at_once()
        if place is None:
            # There is time to ask before the upload can begin.
            there = await self._is_there(step)
            return BlobResult.EXISTED if there else await self._mount_or_send(step, (), shared, asked=True)
        try:
            there, session = await self._ask_and_open(step)
            if session is None or there:
                return BlobResult.EXISTED if there else BlobResult.MOUNTED
            await self._send(step.blob, shared, session)
        finally:
            place.release()
        return BlobResult.COPIED

    async def _is_there(self, step: BlobStep) -> bool:
        there = await self._tools.replica.has_blob(self._target, step.blob)
        if not step.believed:
            self._tools.presence.found(self._target, there=there)
        return there

    async def _ask_and_open(self, step: BlobStep) -> tuple[bool, UploadSession | None]:
        """Ask and open an upload at the same time; a session that is not needed is put with the surplus."""
        there, session = False, None

        async def ask() -> None:
            nonlocal there
            there = await self._is_there(step)

        async def start() -> None:
            nonlocal session
            session = await self._open(step.blob)

        try:
            await together([ask, start])
        except BaseException:
            if session is not None:
                await self._tools.replica.cancel_upload(session)
            raise
        if there and session is not None:
            self.surplus.append(session)
        return there, session

    async def _open(self, blob: Descriptor) -> UploadSession | None:
        """Open an upload; None where the registry is proven to mount by digest alone, and did."""
        if self._tools.mounts.anonymous:
            return await self._tools.replica.mount_blob(self._target, blob, None)
        return await self._tools.replica.start_upload(self._target)

    async def _mount_or_send(
        self,
        step: BlobStep,
        candidates: tuple[Repository, ...],
        shared: Subscription | None,
        *,
        asked: bool = False,
    ) -> BlobResult:
        blob = step.blob
        session: UploadSession | None = None
        worth_it = [one for one in candidates if self._tools.mounts.may_work(one, self._target)]
        for repository in worth_it[:1]:
            session = await self._mounting.mount(blob, repository)
            if session is None:
                return BlobResult.MOUNTED
            self.surplus.append(session)  # until it is needed, which may never be
        # Some registries mount nothing, as all their repositories share blobs.
        if candidates and not asked and blob.size > SMALL and await self._is_there(step):
            return BlobResult.EXISTED
        async with self._slots(blob).place(blob.size, shared):
            if session is not None:
                self.surplus.remove(session)
            session = session or await self._open(blob)
            if session is None:
                return BlobResult.MOUNTED
            await self._send(blob, shared, session)
        return BlobResult.COPIED

    def _slots(self, blob: Descriptor) -> Slots:
        return self._tools.small_slots if blob.size <= SMALL else self._tools.slots

    async def _send(self, blob: Descriptor, shared: Subscription | None, session: UploadSession) -> None:
        tools = self._tools
        with tools.metrics.transferring(tools.replica.name):
            if _comes_whole(blob):
                await tools.replica.send_blob(self._target, blob, partial(self._at_once, blob), session)
                return
            body = self._body(blob, shared)
            resumption = tools.uploads.resumption(tools.replica, self._target, body, tools.metrics)
            await tools.replica.send_blob(self._target, blob, body, session, resumption)

    def _body(self, blob: Descriptor, shared: Subscription | None) -> BlobBody:
        """Return what gives the blob's bytes anew for each try of an upload; `shared` is used up by the first."""
        return BlobBody(
            reads=self._tools.reads,
            source=self._source,
            repository=self._repository,
            blob=blob,
            standing=self._tools.standing,
            on_sent=partial(self._sent, blob.digest),
            trail=self._tools.uploads.trail(self._target, blob),
            shared=shared,
        )

    async def _at_once(self, blob: Descriptor) -> AsyncIterator[bytes]:
        data = blob.data
        if data is None:
            data = await self._tools.reads.small.read(self._source, self._repository, blob)
        self._sent(blob.digest, len(data))
        yield data

    def _sent(self, digest: Digest, count: int) -> None:
        self._claim.moved(digest, self._tools.clock.monotonic())
        self._tally.sent += count
        self._tools.metrics.bytes_copied(self._tools.replica.name, count)


def _comes_whole(blob: Descriptor) -> bool:
    """Say whether the bytes are held at once: those of a small blob, and those that the manifest has."""
    return blob.size <= SMALL or blob.data is not None
