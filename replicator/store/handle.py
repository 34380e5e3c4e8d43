"""How operations reach the database: what writes goes to the writer thread, what reads to the other connection."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from replicator.errors import StoreError
from replicator.store.moment import DATABASE_ERRORS
from replicator.store.prepared import Connection
from replicator.store.session import Session
from replicator.store.writer import PostListener, StoreObserver, Writer

T = TypeVar("T")


class Handle:
    """The store's two connections while it is open."""

    def __init__(self, session: Session, reader: Connection, observer: StoreObserver | None) -> None:
        self._clock = session.clock
        self._reader = reader
        self._reading = anyio.CapacityLimiter(1)
        self._unwritten = session.unwritten  # appending to a deque and taking from it need no lock
        self._writer = Writer(session, observer)
        self._open = True

    def healthy(self) -> bool:
        """Whether the store is open and its writer thread lives."""
        return self._open and self._writer.healthy()

    def listen_to_posts(self, listener: PostListener) -> None:
        """Have `listener` called on the event loop with receivers to whom a commit may have something to send."""
        self._writer.listen_to_posts(listener)

    async def submit(self, operation: Callable[[Session], T]) -> T:
        """Run an operation of a module of this package on the writer thread; on return it is committed and synced."""
        return await self._writer.submit(operation)

    async def ask(self, query: Callable[[Connection], T]) -> T:
        """Run a question of a module of this package on the connection that only reads."""
        return await self._read(query)

    async def _read(self, query: Callable[[Connection], T]) -> T:
        if not self.healthy():
            raise StoreError("the store is closed or its writer thread has died")
        try:
            return await anyio.to_thread.run_sync(query, self._reader, limiter=self._reading)
        except DATABASE_ERRORS as error:
            raise StoreError(f"the store cannot be read: {error}") from error
