"""One read of a source blob feeds every lane that needs it now (guarantee G7), verified as it streams (G3).

A lane *subscribes* before it needs the bytes, so that lanes that are due together find each other. The first to want
a chunk starts the read; the fastest subscriber paces it. Each other may lag by a bounded window of buffered bytes:
whoever falls further behind is let go at once and goes on alone, with a Range read from exactly where it was. So no
lane waits for another, and memory is bounded by `budget` bytes for all reads of the process.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError, ReplicatorError
from replicator.model import Descriptor, Digest, Hasher, Repository
from replicator.replication.ports import Source

WINDOW = 16 * 1024 * 1024
"""Most bytes one subscriber may lag behind a shared read."""
BUDGET = 24 * 1024 * 1024
"""Most bytes buffered for laggards in the whole process."""
_AHEAD = 1024 * 1024
_RECONNECTS = 4
_RECONNECT_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class _Chunk:
    offset: int
    data: bytes
    after: Hasher  # state of the hash once this chunk is in: what a subscriber needs to go on alone


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
    ) -> None:
        self.clock = clock
        self.on_read = on_read
        self.pause = pause
        self.window = window
        self.budget = budget
        self._joinable: dict[tuple[str, Digest], _Read] = {}
        self._reads: set[_Read] = set()
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._group is not None:
            self._group.cancel_scope.cancel()
            await self._group.__aexit__(kind, error, trace)
            self._group = None

    def subscribe(self, source: Source, repository: Repository, blob: Descriptor) -> "Subscription":
        """Register interest in a blob from its first byte on; close the subscription when it is not needed."""
        return Subscription(self.joinable(source, repository, blob))

    def joinable(self, source: Source, repository: Repository, blob: Descriptor) -> "_Read":
        """Return the read of this blob that still has its first byte to give, or a new one, not yet started."""
        key = (source.name, blob.digest)
        read = self._joinable.get(key)
        if read is None or not read.joinable:
            read = _Read(self, source, repository, blob, offset=0, hasher=blob.digest.hasher())
            self._joinable[key] = read
        return read

    def start(self, read: "_Read") -> None:
        """Run a read in the background until it ends or nobody subscribes to it."""
        if self._group is None:
            raise RuntimeError("shared reads are used outside their context")
        self._reads.add(read)
        self._group.start_soon(read.run)

    def ended(self, read: "_Read") -> None:
        """Forget a read that feeds nobody any more."""
        self._reads.discard(read)
        key = (read.source.name, read.blob.digest)
        if self._joinable.get(key) is read:
            del self._joinable[key]

    def make_room(self) -> None:
        """Let go whoever lags most until the buffered bytes of all reads fit the budget."""
        while sum(read.buffered for read in self._reads) > self.budget:
            laggards = [read.slowest for read in self._reads if read.slowest is not None]
            furthest = max(laggards, key=lambda laggard: laggard.lag, default=None)
            if furthest is None or furthest.lag <= _AHEAD:
                return
            furthest.leave()


class _Read:
    """One pass over a blob from `offset` to its end, with the chunks that some subscriber has yet to take."""

    def __init__(
        self,
        reads: SharedReads,
        source: Source,
        repository: Repository,
        blob: Descriptor,
        *,
        offset: int,
        hasher: Hasher,
    ) -> None:
        self._owner = reads
        self.source = source
        self.repository = repository
        self.blob = blob
        self.end = offset
        self._hasher = hasher
        self._chunks: deque[_Chunk] = deque()
        self.subscribers: set[Subscription] = set()
        self._error: ReplicatorError | None = None
        self._started = False
        self._full = False
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def buffered(self) -> int:
        """Bytes held for subscribers."""
        return self.end - self._chunks[0].offset if self._chunks else 0

    @property
    def joinable(self) -> bool:
        """Whether a new subscriber can still get every byte from the first on."""
        start = self._chunks[0].offset if self._chunks else self.end
        return start == 0 and not self._full and self._error is None and not self._scope.cancel_called

    @property
    def slowest(self) -> "Subscription | None":
        """The subscriber furthest behind, None when there are fewer than two: a single one paces the read."""
        if len(self.subscribers) < 2:  # noqa: PLR2004 -- two is what makes a read shared
            return None
        return min(self.subscribers, key=lambda subscriber: subscriber.position)

    def successor(self, position: int, hasher: Hasher) -> "_Read":
        """Return the read that goes on at `position` for a subscriber that is let go, not yet started.

        Whoever has taken nothing yet may share again, with others that were as late.
        """
        self._full = True
        if position == 0:
            return self._owner.joinable(self.source, self.repository, self.blob)
        return _Read(self._owner, self.source, self.repository, self.blob, offset=position, hasher=hasher)

    def want(self) -> None:
        """Say that a subscriber needs bytes now."""
        if not self._started:
            self._started = True
            self._owner.start(self)

    def take(self, position: int) -> _Chunk | None:
        """Return the chunk at `position`; None when it is not read yet or the blob ended. Raises the read's error."""
        for chunk in reversed(self._chunks):
            if chunk.offset == position:
                return chunk
        if self._error is not None:
            raise self._error
        return None

    @property
    def changed(self) -> anyio.Event:
        """Set when chunks, positions, subscribers or the state changed since it was taken."""
        return self._changed

    def notify(self) -> None:
        """Drop what everybody has, and wake everybody."""
        low = min((subscriber.position for subscriber in self.subscribers), default=self.end)
        while self._chunks and self._chunks[0].offset + len(self._chunks[0].data) <= low:
            self._chunks.popleft()
        event, self._changed = self._changed, anyio.Event()
        event.set()
        if not self.subscribers:
            self._scope.cancel()
            self._owner.ended(self)

    async def run(self) -> None:
        """Read until the blob ends, going on with Range after a broken connection; errors go to the subscribers."""
        with self._scope:
            try:
                await self._read_all()
            except ReplicatorError as error:
                self._error = error
        self.notify()

    async def _read_all(self) -> None:
        failures = 0
        while True:
            before = self.end
            try:
                async with self.source.open_blob(self.repository, self.blob, self.end) as reader:
                    async for data in reader.chunks():
                        self._append(data)
                        await self._keep_pace()
                if self.end == self.blob.size:
                    return
                raise ContentError(
                    f"{self.source.name}: blob {self.blob.digest} ends after {self.end} of {self.blob.size} bytes",
                    registry=self.source.name,
                )
            except RegistryError as error:
                failures = 1 if self.end > before else failures + 1
                if not error.temporary or failures >= _RECONNECTS or self.end == self.blob.size:
                    raise
            await self._owner.clock.sleep(self._owner.pause * failures)

    def _append(self, data: bytes) -> None:
        self._owner.on_read(self.source.name, len(data))
        end = self.end + len(data)
        self._hasher.update(data)
        if end > self.blob.size:
            raise ContentError(
                f"{self.source.name}: blob {self.blob.digest} is longer than its {self.blob.size} bytes",
                registry=self.source.name,
            )
        # The last chunk is held back until all bytes are proven: no upload can complete with wrong ones.
        if end == self.blob.size and self._hasher.hexdigest() != self.blob.digest.encoded:
            raise ContentError(
                f"{self.source.name}: bytes of blob {self.blob.digest} have another digest", registry=self.source.name
            )
        self._chunks.append(_Chunk(self.end, data, self._hasher.copy()))
        self.end = end
        self.notify()

    async def _keep_pace(self) -> None:
        for subscriber in [one for one in self.subscribers if one.lag > self._owner.window]:
            if len(self.subscribers) > 1:
                subscriber.leave()
        self._owner.make_room()
        while min((subscriber.lag for subscriber in self.subscribers), default=0) >= _AHEAD:
            await self.changed.wait()


class Subscription:
    """One lane's right to the bytes of one blob, from the first on, in order, each verified by the shared read."""

    def __init__(self, read: _Read) -> None:
        self._read = read
        self.position = 0
        self._hasher = read.blob.digest.hasher()
        read.subscribers.add(self)

    @property
    def lag(self) -> int:
        """Bytes read and not taken by this subscriber."""
        return self._read.end - self.position

    def leave(self) -> None:
        """Go on alone, from here, with a read of one's own. Buffered bytes are given up and read again."""
        shared = self._read
        self._read = shared.successor(self.position, self._hasher.copy())
        self._read.subscribers.add(self)
        shared.subscribers.discard(self)
        shared.notify()

    def close(self) -> None:
        """Give up the rest; the read ends when nobody is left."""
        if self in self._read.subscribers:
            self._read.subscribers.discard(self)
            self._read.notify()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the blob's bytes; the last chunk comes only when size and digest of all of them are proven.

        Raises ContentError when they are not, RegistryError when the source failed for good.
        """
        blob = self._read.blob
        if blob.size == 0 and self._hasher.hexdigest() != blob.digest.encoded:
            raise ContentError(
                f"{self._read.source.name}: blob {blob.digest} is listed as empty", registry=self._read.source.name
            )
        while self.position < blob.size:
            changed = self._read.changed
            chunk = self._read.take(self.position)
            if chunk is None:
                self._read.want()
                await changed.wait()
                continue
            self.position += len(chunk.data)
            self._hasher = chunk.after
            self._read.notify()
            yield chunk.data
