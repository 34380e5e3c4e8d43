"""The store: a connection that writes in a thread, one that reads (DESIGN 4). Opened by sqlite.py, postgres.py."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio
import anyio.to_thread

from replicator.errors import StoreError
from replicator.heard import Heard
from replicator.model import Digest, Intent, IntentKey, Lease, Priority, Recorded, Repository
from replicator.store import beside, changes, hints, leases, places, queries, summaries, uploads
from replicator.store.decisions import Decisions
from replicator.store.deletion_rows import DeletionRows
from replicator.store.event_log import EventLog
from replicator.store.outcome import Outcome
from replicator.store.prepared import Connection
from replicator.store.repairs import Repairs
from replicator.store.rows import KeptUpload, PutBeside, Row, StoreSummary, Unreadable
from replicator.store.session import Session
from replicator.store.tag_memory import TagMemory
from replicator.store.writer import BACKLOG, Listener, StoreObserver


class Store(Decisions, Repairs, TagMemory, DeletionRows, EventLog):
    """Keeps intents durably. All methods raise StoreError when the database or its writer thread fails.

    Times are Unix seconds by the clock's `now`, leases run by its `monotonic`. What a method changed is on disk
    when it returns.
    """

    def __init__(
        self, session: Session, reader: Connection, observer: StoreObserver | None, release: Callable[[], None]
    ) -> None:
        super().__init__(session, reader, observer)
        self._release = release

    async def close(self) -> None:
        """Finish what is queued, close the database and give up the lock. Closing twice does nothing."""
        if not self._open:
            return
        self._open = False
        with anyio.CancelScope(shield=True):
            # The reader goes first: the last connection to close is the one that checkpoints.
            await anyio.to_thread.run_sync(self._reader.close, limiter=self._reading)
            await self._writer.close()
        self._release()

    def hurry(self) -> None:
        """From now on wait no longer than some seconds for a server that answers nothing: what waits then fails."""

    def listen(self, callback: Listener) -> None:
        """Have `callback` called on the event loop with the keys that a commit recorded or settled."""
        self._writer.listen(callback)

    def unlisten(self, callback: Listener) -> None:
        """Call `callback` no longer."""
        self._writer.unlisten(callback)

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        """Merge changes into their rows, all or none. On return they are committed and synced (G1).

        `heard` is what told of them, in the same order, and kept with them.
        """
        if self._writer.backlog >= BACKLOG:
            raise StoreError(f"{BACKLOG} operations wait for the disk already")
        return await self._writer.submit(changes.Record(intents, heard))

    async def lease(
        self,
        replica: str,
        limit: int,
        seconds: float,
        *,
        room: Mapping[Priority, int] | None = None,
        longest_due: bool = False,
    ) -> tuple[Lease, ...]:
        """Lease due rows and due looks that nobody holds, the most urgent and longest due first.

        `room` is how many at most, for each priority and what is less urgent; without it only `limit` counts.
        With `longest_due` it is at most one, the one that is due longest, however little urgent.

        A cancelled caller still gets its leases, and is cancelled at its next await: it can give them back.
        """
        taken: list[Lease] = []
        with anyio.CancelScope(shield=True):
            taken += await self._writer.submit(
                partial(
                    leases.take, replica=replica, limit=limit, seconds=seconds, room=room, longest_due=longest_due
                )
            )
        return tuple(taken)

    async def renew(self, held: Sequence[Lease], seconds: float) -> frozenset[IntentKey]:
        """Extend leases to `seconds` from now; the answer names those that were not taken over."""
        return await self._writer.submit(partial(leases.renew, leases=held, seconds=seconds))

    async def settle(self, lease: Lease, outcome: Outcome) -> bool:
        """Write an outcome. False: the lease was taken over, and nothing changed.

        Only what `outcome.wrote` then makes the row owed again, since what the replica shows is unknown.
        """
        return await self._writer.submit(partial(leases.settle, lease=lease, outcome=outcome))

    async def release(self, held: Sequence[Lease]) -> None:
        """Give leases back, no attempt counted. Not for work whose put may be on its way: settle that with Retry."""
        await self._writer.submit(partial(leases.release, leases=held))

    async def begin_put(self, put: PutBeside) -> float:
        """Keep that a tag may be put from now on by whoever has no lease of it; return when it will be looked at."""
        return await self._writer.submit(partial(beside.begin, put=put))

    async def end_put(self, put: PutBeside, *, doubt_until: float, look_at: float) -> None:
        """Keep that the replica took it: it is looked at at `look_at` (Unix seconds), not at `doubt_until`."""
        await self._writer.submit(partial(beside.end, put=put, doubt_until=doubt_until, look_at=look_at))

    async def next_due(self, replica: str, least: Priority = Priority.LOW) -> float | None:
        """Return when the next free row or look, at least as urgent as that, is due; None when there is none."""
        return await self._read(
            partial(queries.next_due, replica=replica, monotonic=self._clock.monotonic(), least=least)
        )

    async def make_due(self, replica: str, *, parked: bool = True, limit: int | None = None) -> int:
        """Make failing rows of a replica due now and return how many: all, or the `limit` due soonest.

        Parked ones too, unless told otherwise.
        """
        now = self._clock.now()
        make = partial(changes.make_due, replica=replica, now=now, parked=parked)
        # What fails again meanwhile is not made due once more: its pause counts.
        left = limit
        if left is None:
            left = await self._read(partial(summaries.failing_later, replica=replica, now=now, parked=parked))
        total = 0
        while total < left:
            count = await self._writer.submit(partial(make, count=min(changes.PAGE, left - total)))
            if not count:
                break
            total += count
        return total

    async def count_deadline_missed(self, replica_objective_seconds: float) -> Mapping[str, int]:
        """Mark the rows that crossed the objective since last asked, and return how many per replica."""
        before = self._clock.now() - replica_objective_seconds
        total: Counter[str] = Counter()
        try:
            while await self._read(partial(summaries.anything_crossed, before=before)):
                total.update(await self._writer.submit(partial(changes.count_missed, before=before)))
        except StoreError:
            if not total:
                raise  # else those that are marked would never be counted
        return total

    async def locations(self, replica: str, digests: Sequence[Digest]) -> Mapping[Digest, tuple[Repository, ...]]:
        """Return for each blob up to 5 repositories of the replica that hold it, as far as known, newest first."""
        return await self._read(partial(queries.locations, replica=replica, digests=digests))

    async def remember_blobs(self, replica: str, repository: Repository, digests: Sequence[Digest]) -> None:
        """Note that a repository of the replica holds these blobs."""
        if digests:
            await self._writer.submit(
                partial(hints.remember_blobs, replica=replica, repository=repository, digests=digests)
            )

    async def forget_blobs(self, replica: str, repository: Repository) -> None:
        """Drop what is noted of one repository of the replica: it turned out wrong."""
        await self._writer.submit(partial(hints.forget_blobs, replica=replica, repository=repository))

    async def keep_upload(self, replica: str, repository: Repository, digest: Digest, kept: KeptUpload) -> None:
        """Keep where the upload of a blob to a repository of the replica goes on; it expires after a day."""
        await self._writer.submit(
            partial(uploads.keep, replica=replica, repository=repository, digest=digest, kept=kept)
        )

    async def kept_upload(self, replica: str, repository: Repository, digest: Digest) -> KeptUpload | None:
        """Return where the upload of a blob goes on, None when there is none or it has expired."""
        now = self._clock.now()
        return await self._read(partial(uploads.find, replica=replica, repository=repository, digest=digest, now=now))

    async def forget_upload(self, replica: str, repository: Repository, digest: Digest) -> None:
        """Drop what is kept of an upload that is over."""
        await self._writer.submit(partial(uploads.forget, replica=replica, repository=repository, digest=digest))

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        """Keep a delivery that could not be decoded: the newest 100, 64 KiB of each."""
        await self._writer.submit(partial(hints.keep_unreadable, endpoint=endpoint, reason=reason, body=body))

    async def unreadable(self) -> tuple[Unreadable, ...]:
        """Return the kept deliveries, newest first."""
        return await self._read(hints.unreadable)

    async def summary(self) -> StoreSummary:
        """Count what each replica lacks, and since when."""
        read_at = self._clock.now()
        return StoreSummary(replicas=await self._read(summaries.summary), read_at=read_at)

    async def row(self, key: IntentKey) -> Row | None:
        """Return one row."""
        return await self._read(partial(queries.row, key=key))

    async def rows(
        self,
        *,
        replica: str | None = None,
        parked: bool | None = None,
        only_ignored: bool = False,
        after: IntentKey | None = None,
        limit: int = 100,
    ) -> tuple[Row, ...]:
        """Return a page of rows: all, or of those owed only the parked, or only the others; or only the ignored.

        The order is stable; pass the last key as `after` for the next page.
        """
        page = partial(queries.rows, replica=replica, parked=parked, only_ignored=only_ignored)
        return await self._read(partial(page, after=after, limit=limit))

    async def rows_before(self, row: Row) -> int:
        """Return how many owed rows of its replica come before `row`, some ten thousand at most; 0 if clean."""
        return await self._read(partial(places.before, row=row, now=self._clock.now()))

    async def tick(self) -> None:
        """Return when the writer thread has come round; raises StoreError when it cannot."""
        await self._writer.submit(changes.tick)

    async def lost(self) -> str:
        """Return why the store takes nothing any more, once that is so: it was closed, or another daemon took it."""
        return await self._writer.end()

    async def writable(self) -> bool:
        """Whether a row can be committed and synced right now."""
        try:
            await self._writer.submit(changes.beat)
        except StoreError:
            return False
        return True
