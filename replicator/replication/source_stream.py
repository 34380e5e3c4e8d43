"""The bytes of one blob from a source, in order: over one connection, or in pieces over several where that is faster.

A broken connection goes on with Range where it was. Nothing is hashed here.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import Descriptor, Repository
from replicator.registry.capabilities import Capability
from replicator.replication.parallel_ranges import WORTH_SPLITTING, Piece, Reorder, piece_size
from replicator.replication.ports import Source
from replicator.replication.source_line import SourceLine
from replicator.together import first_error

RECONNECTS = 4
"""Failures in a row, with hardly a byte between them, that end a read."""
_PROGRESS = 64 * 1024
"""Fewer bytes before the next failure are no progress: a source that drips must not be read for ever (S21)."""
_ENOUGH_LEFT = 8 * 1024 * 1024

Deliver = Callable[[bytes], Awaitable[None]]


class Room(Protocol):
    """What one stream needs of all reads of the process."""

    clock: Clock
    on_read: Callable[[str, int], None]
    pause: float

    def line(self, source: Source) -> SourceLine:
        """Return what is known of the line to a source."""
        ...

    def may_reserve(self, size: int) -> bool:
        """Say whether so many more bytes may be asked for ahead of the place where a blob is read."""
        ...


class SourceStream:
    """Reads a blob from `position` to its end and hands each piece to whoever runs it."""

    def __init__(
        self, room: Room, source: Source, repository: Repository, blob: Descriptor, *, position: int
    ) -> None:
        self._room = room
        self._source = source
        self._repository = repository
        self._blob = blob
        self._line = room.line(source)
        self._order: Reorder | None = None
        self._position = position
        self._fetchers = 0
        self._proven = False
        self._was_split = False
        self._changed = anyio.Event()

    @property
    def reserved(self) -> int:
        """Bytes asked for ahead and not yet handed on."""
        return self._order.reserved if self._order is not None else 0

    @property
    def held(self) -> int:
        """Bytes that came ahead of their turn."""
        return self._order.held if self._order is not None else 0

    async def run(self, deliver: Deliver) -> None:
        """Hand on all bytes. Raises RegistryError when the source failed for good, and what `deliver` raises."""
        try:
            while self._position < self._blob.size:
                if self._may_split:
                    await self._in_pieces(deliver)
                else:
                    await self._over_one_connection(deliver)
        except ContentError:
            if self._was_split:
                # May be its ranges are not what they say: the next try does without them.
                self._source.capabilities.learn(Capability.RANGES, holds=False)
            raise
        finally:
            self._line.leave(self)

    @property
    def _may_split(self) -> bool:
        return (
            self._blob.size > WORTH_SPLITTING
            and self._blob.size - self._position >= _ENOUGH_LEFT
            and self._line.streams > 1
            and self._source.capabilities.holds(Capability.RANGES) is not False
        )

    # Over one connection

    async def _over_one_connection(self, deliver: Deliver) -> None:
        failures = 0
        while self._position < self._blob.size:
            before = self._position
            try:
                if await self._read_on(deliver):
                    return
            except RegistryError as error:
                failures = 1 if self._position - before >= _PROGRESS else failures + 1
                if not error.temporary or failures >= RECONNECTS or self._position == self._blob.size:
                    raise
            await self._room.clock.sleep(self._room.pause * failures)

    async def _read_on(self, deliver: Deliver) -> bool:
        """Read until the blob ends, True, or shall be read in pieces, True. Raises when the connection breaks."""
        clock, measured = self._room.clock, self._blob.size > WORTH_SPLITTING
        began = clock.monotonic()
        async with self._source.open_blob(self._repository, self._blob, self._position) as reader:
            self._line.opened(clock.monotonic() - began)
            async for data in reader.chunks():
                if measured:
                    self._line.join(self)
                    self._line.came(len(data))
                    self._line.waited(clock.monotonic() - began)
                self._position += len(data)
                self._room.on_read(self._source.name, len(data))
                await deliver(data)
                if measured:
                    if self._may_split:
                        return True
                    began = clock.monotonic()
        if self._position >= self._blob.size:
            return True
        raise ContentError(
            f"{self._source.name}: blob {self._blob.digest} ends after {self._position} of {self._blob.size} bytes",
            registry=self._source.name,
        )

    # In pieces

    async def _in_pieces(self, deliver: Deliver) -> None:
        """Read until the blob ends or the line is to be used as one connection again."""
        self._was_split = True
        self._line.join(self)
        self._proven = self._source.capabilities.holds(Capability.RANGES) is True
        self._order = order = Reorder(self._position, self._blob.size)
        try:
            async with anyio.create_task_group() as group:
                while not self._is_done(order):
                    while self._fetchers < (self._line.streams if self._proven else 1) and order.left:
                        self._fetchers += 1
                        group.start_soon(self._fetch, order)
                    await self._hand_on(order, deliver)
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            error = first_error(errors)
            if not isinstance(error, _PieceFailed):
                raise error from errors
            # What came ahead is given up: one connection is surer.
            self._line.give_up()
        finally:
            self._order = None
            self._fetchers = 0

    def _is_done(self, order: Reorder) -> bool:
        if not order.is_empty:
            return False
        return not order.left or not self._may_split

    async def _hand_on(self, order: Reorder, deliver: Deliver) -> None:
        changed, clock = self._changed, self._room.clock
        data = order.take()
        if data is not None:
            self._position = order.position
            self._notify()
            await deliver(data)
            return
        began = clock.monotonic()
        await changed.wait()
        self._line.waited(clock.monotonic() - began)

    async def _fetch(self, order: Reorder) -> None:
        try:
            while (piece := await self._next(order)) is not None:
                await self._fill(piece)
        finally:
            self._fetchers -= 1
            self._notify()

    async def _next(self, order: Reorder) -> Piece | None:
        while order.left and self._may_split and self._fetchers <= self._line.streams:
            size = piece_size(order.left, self._line.streams, self._line.reads)
            # Whoever holds nothing may always go on: the piece it waits for is the next one to hand on.
            if order.is_empty or self._room.may_reserve(size):
                return order.assign(size)
            await self._changed.wait()
        return None

    async def _fill(self, piece: Piece) -> None:
        failures = 0
        while True:
            before, problem = piece.reached, None
            try:
                await self._read_piece(piece)
            except (RegistryError, ContentError) as error:
                problem = error
            if piece.missing == 0:
                return
            failures = 1 if piece.reached - before >= _PROGRESS else failures + 1
            if piece.missing < 0 or failures >= RECONNECTS or (problem is not None and not problem.temporary):
                raise _PieceFailed from problem
            await self._room.clock.sleep(self._room.pause * failures)

    async def _read_piece(self, piece: Piece) -> None:
        clock = self._room.clock
        began = clock.monotonic()
        async with self._source.open_blob(self._repository, self._blob, piece.reached, piece.missing) as reader:
            self._proven = True
            self._line.opened(clock.monotonic() - began)
            async for data in reader.chunks():
                self._line.came(len(data))
                self._room.on_read(self._source.name, len(data))
                piece.add(data)
                self._notify()

    def _notify(self) -> None:
        event, self._changed = self._changed, anyio.Event()
        event.set()


class _PieceFailed(Exception):
    """A piece did not come, or not as it was asked for. Never leaves this module."""
