"""One read of a source blob feeds every lane that needs it now (guarantee G7), verified as it streams (G3).

A lane *subscribes* before it needs the bytes, so that lanes that are due together find each other. The first to want
a chunk starts the read; the fastest subscriber paces it. Each other may lag by a bounded window of buffered bytes:
whoever falls further behind for longer than a hiccup is let go and goes on alone, with a Range read from exactly
where it was, until it meets another read of the blob. The first bytes of a blob are kept a moment for lanes that come
a little later. Memory is bounded by `budget` bytes for all reads of the process, and AHEAD for each under way; bytes
that come ahead of their turn, where a blob is read in pieces, are among them.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from replicator.clock import Clock
from replicator.model import Descriptor, Digest, Hasher, Repository
from replicator.replication.blob_read import BlobRead
from replicator.replication.pacing import Pacing, Standing, Taker
from replicator.replication.parallel_ranges import RESERVED
from replicator.replication.ports import Source
from replicator.replication.small_reads import SmallReads
from replicator.replication.source_line import SourceLine
from replicator.replication.subscription import Subscription

WINDOW = 32 * 1024 * 1024
"""Most bytes one subscriber may lag behind a shared read."""
BUDGET = 40 * 1024 * 1024
"""Most bytes buffered for laggards in the whole process."""
_RECONNECT_PAUSE = 0.25


class SharedReads:
    """All reads of blobs from sources; use as an async context manager, which owns the reading tasks.

    `on_read(source name, bytes)` is told of every byte that left a source.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        on_read: Callable[[str, int], None],
        pause: float = _RECONNECT_PAUSE,
        window: int = WINDOW,
        budget: int = BUDGET,
        pacing: Pacing = Pacing(),  # noqa: B008 -- frozen
    ) -> None:
        self.clock = clock
        self.on_read = on_read
        self.pause = pause
        self.window = window
        self.budget = budget
        self.pacing = pacing
        self.small = SmallReads(self, linger=pacing.small_linger)
        # By size as well: a manifest that lies of it must not hurt the copy of one that does not.
        self._joinable: dict[tuple[str, Digest, int], BlobRead] = {}
        self._reads: set[BlobRead] = set()
        self._lines: dict[str, SourceLine] = {}
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._group is None:
            return
        self._group.cancel_scope.cancel()
        if isinstance(error, Exception):
            # An error of the block is not one of the reads: it goes on as it is, not as a group.
            kind = error = trace = None
        await self._group.__aexit__(kind, error, trace)
        self._group = None

    @property
    def buffered(self) -> int:
        """Bytes held in memory for subscribers of all reads."""
        return sum(read.buffered for read in self._reads)

    def subscribe(
        self, source: Source, repository: Repository, blob: Descriptor, standing: Standing | None = None
    ) -> Subscription:
        """Register interest in a blob from its first byte on; close the subscription when it is not needed.

        `standing` is that of the lane; without one, nothing is known of it.
        """
        return Subscription(self.joinable(source, repository, blob), repository, standing or Standing())

    def subscribe_at(
        self,
        source: Source,
        repository: Repository,
        blob: Descriptor,
        standing: Standing,
        *,
        position: int,
        hasher: Hasher,
    ) -> Subscription:
        """Register interest in a blob from `position` on, alone; `hasher` has the bytes before it."""
        read = BlobRead(self, source, repository, blob, offset=position, hasher=hasher.copy())
        return Subscription(read, repository, standing, hasher=hasher)

    def joinable(self, source: Source, repository: Repository, blob: Descriptor) -> BlobRead:
        """Return the read of this blob that still has its first byte to give, or a new one, not yet started."""
        key = _key(source, blob)
        read = self._joinable.get(key)
        if read is None or not read.joinable:
            read = BlobRead(self, source, repository, blob, offset=0, hasher=blob.digest.hasher())
            self._joinable[key] = read
        return read

    def start(self, read: BlobRead) -> None:
        """Run a read in the background until it ends or nobody subscribes to it."""
        if self._group is None:
            raise RuntimeError("shared reads are used outside their context")
        self._reads.add(read)
        self._group.start_soon(read.run)

    def ended(self, read: BlobRead) -> None:
        """Forget a read that feeds nobody any more."""
        self._reads.discard(read)
        key = _key(read.source, read.blob)
        if self._joinable.get(key) is read:
            del self._joinable[key]

    def line(self, source: Source) -> SourceLine:
        """Return what is known of the line to a source."""
        line = self._lines.get(source.name)
        if line is None:
            line = self._lines[source.name] = SourceLine(source, self.clock)
        return line

    def may_reserve(self, size: int) -> bool:
        """Say whether so many more bytes may be asked for ahead; what laggards need comes first."""
        most = min(self.budget, RESERVED)
        if self._committed + size > most:
            self._forget_heads()
        return self._committed + size <= most

    @property
    def _committed(self) -> int:
        return sum(read.committed for read in self._reads)

    def _forget_heads(self) -> None:
        for read in tuple(self._reads):
            read.forget_head()

    def met(self, read: BlobRead, position: int) -> BlobRead | None:
        """Return another read of the same blob that `position` may go on with, so that one of the two can end."""
        key = _key(read.source, read.blob)
        others = (one for one in self._reads if one is not read and _key(one.source, one.blob) == key)
        return next((one for one in others if one.holds(position)), None)

    def furthest_behind(self) -> Taker | None:
        """Return who must catch up or go before more may be buffered; None when the budget is not used up.

        Bytes that are only kept for lanes to come are given up first.
        """
        if self.buffered <= self.budget:
            return None
        self._forget_heads()
        if self.buffered <= self.budget:
            return None
        dispensable = (one for read in self._reads for one in read.dispensable)
        return max(dispensable, key=lambda one: one.lag, default=None)


def _key(source: Source, blob: Descriptor) -> tuple[str, Digest, int]:
    return source.name, blob.digest, blob.size
