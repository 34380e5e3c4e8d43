"""One pass over a source blob for those who take its bytes: buffered for laggards, verified to the last byte (G3)."""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import anyio

from replicator.errors import ContentError
from replicator.model import Descriptor, Hasher, Priority, Repository
from replicator.registry.urgency import Urgency, urgent
from replicator.replication.hash_trail import Unproven
from replicator.replication.pacing import Pacing, Taker
from replicator.replication.ports import Source
from replicator.replication.source_stream import Room, SourceStream
from replicator.replication.waiting import wait_within

AHEAD = 1024 * 1024
"""Bytes that a read goes ahead of its fastest subscriber."""


class Reads(Room, Protocol):
    """What one read needs of all reads of the process; `window` and `pacing` as in SharedReads."""

    window: int
    pacing: Pacing

    def joinable(self, source: Source, repository: Repository, blob: Descriptor) -> "BlobRead":
        """Return a read that still has its first byte to give."""
        ...

    def start(self, read: "BlobRead") -> None:
        """Run a read in the background."""
        ...

    def ended(self, read: "BlobRead") -> None:
        """Forget a read that feeds nobody any more."""
        ...

    def furthest_behind(self) -> Taker | None:
        """Return who must catch up or go before more may be buffered."""
        ...

    def met(self, read: "BlobRead", position: int) -> "BlobRead | None":
        """Return another read of the same blob that is where `read` is."""
        ...


@dataclass(frozen=True, slots=True)
class _Chunk:
    offset: int
    data: bytes
    after: Hasher  # state of the hash once this chunk is in: what a subscriber needs to go on alone


class BlobRead:
    """One pass over a blob from `offset` to its end, with the chunks that some subscriber has yet to take."""

    def __init__(
        self,
        reads: Reads,
        source: Source,
        repository: Repository,
        blob: Descriptor,
        *,
        offset: int,
        hasher: Hasher,
    ) -> None:
        self.owner = reads
        self.source = source
        self.repository = repository
        self.blob = blob
        self.end = offset
        self.urgency = Urgency(Priority.LOW)
        self._hasher = hasher
        self._stream = SourceStream(reads, source, repository, blob, position=offset)
        self._chunks: deque[_Chunk] = deque()
        self.subscribers: set[Taker] = set()
        self._error: Exception | None = None
        self._started = False
        self._left = False
        self._keeps_head = offset == 0 and reads.pacing.linger > 0
        self._began = 0.0
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def buffered(self) -> int:
        """Bytes held for subscribers, those that came ahead of their turn included."""
        return self._behind + self._stream.held

    @property
    def committed(self) -> int:
        """Bytes held, and those asked for ahead."""
        return self._behind + self._stream.reserved

    @property
    def _behind(self) -> int:
        return self.end - self._chunks[0].offset if self._chunks else 0

    @property
    def is_under_way(self) -> bool:
        """Whether bytes come, or are there."""
        return self._started and self._error is None

    @property
    def joinable(self) -> bool:
        """Whether a new subscriber can still get every byte from the first on."""
        start = self._chunks[0].offset if self._chunks else self.end
        return start == 0 and not self._left and self._error is None and not self._scope.cancel_called

    def holds(self, position: int) -> bool:
        """Whether whoever is at `position` could go on from here and would not be behind."""
        start = self._chunks[0].offset if self._chunks else self.end
        near = start <= position <= self.end <= position + AHEAD and not isinstance(self._hasher, Unproven)
        return near and self._started and self._error is None and not self._scope.cancel_called

    @property
    def dispensable(self) -> list[Taker]:
        """Who may be let go to save memory: who waits to begin, and who lags where others keep up."""
        shared = len(self.subscribers) > 1
        return [
            one for one in self.subscribers if one.lag > (AHEAD if one.begun else 0) and (shared or not one.begun)
        ]

    def successor(self, subscriber: Taker) -> "BlobRead":
        """Return the read that goes on for a subscriber that is let go, not yet started.

        Whoever has taken nothing yet may share again, with others that were as late.
        """
        self._left = True
        if subscriber.position == 0:
            return self.owner.joinable(self.source, subscriber.repository, self.blob)
        return self.alone(subscriber)

    def alone(self, subscriber: Taker) -> "BlobRead":
        """Return a read for nobody but `subscriber`, from where it is and in its own repository, not yet started."""
        hasher = subscriber.hasher.copy()
        return BlobRead(
            self.owner, self.source, subscriber.repository, self.blob, offset=subscriber.position, hasher=hasher
        )

    def want(self) -> None:
        """Say that a subscriber needs bytes now."""
        if not self._started:
            self._started = True
            self._began = self.owner.clock.monotonic()
            self.owner.start(self)
            for one in tuple(self.subscribers):
                one.passing()

    def take(self, position: int) -> _Chunk | None:
        """Return the chunk at `position`; None when it is not read yet or the blob ended. Raises the read's error."""
        for chunk in reversed(self._chunks):
            if chunk.offset == position:
                return chunk
            if chunk.offset < position < chunk.offset + len(chunk.data):
                return _Chunk(position, chunk.data[position - chunk.offset :], chunk.after)
        if self._error is not None:
            raise self._error
        return None

    @property
    def changed(self) -> anyio.Event:
        """Set when chunks, positions, subscribers or the state changed since it was taken."""
        return self._changed

    def forget_head(self) -> None:
        """Keep no longer what is held only for lanes that may yet come."""
        if self._keeps_head:
            self._keeps_head = False
            self.notify()

    def notify(self) -> None:
        """Drop what everybody has, and wake everybody."""
        low = min((subscriber.position for subscriber in self.subscribers), default=self.end)
        if self._keeps_head:
            low = 0
        while self._chunks and self._chunks[0].offset + len(self._chunks[0].data) <= low:
            self._chunks.popleft()
        event, self._changed = self._changed, anyio.Event()
        event.set()
        if not self.subscribers and not self._lingers:
            self._scope.cancel()
            self.owner.ended(self)

    @property
    def _lingers(self) -> bool:
        """Whether all of the blob is held, proven, for lanes that may yet come."""
        return self._keeps_head and self._started and self.end == self.blob.size and self._error is None

    def let_waiting_go(self) -> None:
        """Let those go who have not begun, if nobody else is left to keep a read under way, or one that failed.

        Waiting for a slot may take long: it holds no connection of the source, and gets no error of long ago.
        """
        under_way = self._started and self.end < self.blob.size
        if self._error is None and not (under_way and not any(one.begun for one in self.subscribers)):
            return
        for subscriber in [one for one in self.subscribers if not one.begun]:
            subscriber.leave()

    async def run(self) -> None:
        """Read until the blob ends, going on with Range after a broken connection; errors go to the subscribers."""
        with self._scope, urgent(self.urgency):
            try:
                await self._stream.run(self._take_in)
            except Exception as error:  # noqa: BLE001 -- not handled here: each subscriber raises it in its own worker
                self._error = error
            self.let_waiting_go()
            self.notify()
            if self._lingers:
                await self.owner.clock.sleep(self.owner.pacing.linger)
        self.forget_head()
        self.notify()

    async def _take_in(self, data: bytes) -> None:
        self._append(data)
        await self._keep_pace()

    def _append(self, data: bytes) -> None:
        if not data:
            return
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
        if self.end > self.owner.window:
            self.forget_head()
        while (laggard := self._too_far_behind()) is not None:
            await self._bear(laggard)
        # At the end there is nothing left to pace: the connection is given back, whoever still has to take the rest.
        while self.end < self.blob.size and min((one.lag for one in self.subscribers), default=0) >= AHEAD:
            await self.changed.wait()

    def _too_far_behind(self) -> Taker | None:
        if len(self.subscribers) > 1:
            slowest = max(self.subscribers, key=lambda one: one.lag)
            if slowest.lag > self.owner.window:
                return slowest
        return self.owner.furthest_behind()

    async def _bear(self, laggard: Taker) -> None:
        """Wait for one who lags too far until it took something, or let it go when that was done often enough."""
        clock = self.owner.clock
        began = clock.monotonic()
        left = self.owner.pacing.left(began - self._began, laggard.borne)
        if laggard.is_far_off or left <= 0 or laggard.standing.is_slow(began):
            if laggard.begun:
                laggard.standing.let_go = began
            laggard.leave()
            return
        await wait_within(clock, left, laggard.changed)
        laggard.borne += clock.monotonic() - began
