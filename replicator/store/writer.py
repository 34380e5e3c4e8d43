"""The one thread that writes: it commits what is queued together, and only then answers (group commit).

There is no delay timer: whoever comes first is committed at once, and those who come while the disk syncs share the
next commit. Where one of them fails, the others are kept all the same: all is rolled back, and each runs anew, by
itself.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from replicator.errors import StoreError
from replicator.model import IntentKey
from replicator.store import event_rows
from replicator.store.batch import REFUSED, Operation, Refused, refused, run_apart, run_in_a_row
from replicator.store.held import Ended
from replicator.store.leases import release_stray
from replicator.store.moment import begin_writing, may_be_kept
from replicator.store.session import Session

T = TypeVar("T")

GROUP = 512
"""Operations committed together at most."""
BACKLOG = 10_000
"""Operations that may wait before new changes are refused."""


class StoreObserver(Protocol):
    """What metrics want to know of the store."""

    def committed(self, seconds: float, operations: int, delivery: str = "") -> None:
        """Tell of a transaction that wrote: how long it took, sync included, and how many operations it held.

        `delivery` is the id of one that it keeps, "" when it keeps none.
        """
        ...


Listener = Callable[[Sequence[IntentKey]], None]
"""Told, on the event loop, which keys a commit changed."""

PostListener = Callable[[frozenset[str]], None]
"""Told, on the event loop, to which receivers a commit may have something to send."""


class Taken(Ended):
    """Another daemon works with the store now: this one must end, and may begin anew."""


@dataclass(frozen=True, slots=True)
class _Job:
    operation: Callable[[Session], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Committed:
    batch: Sequence[_Job]
    answers: Sequence[Any]
    changed: Sequence[IntentKey]
    wrote: bool
    seconds: float
    delivery: str = ""
    posted: frozenset[str] = frozenset()


class Writer:
    """Runs operations on the session's connection, in order; owns that connection from start to close."""

    def __init__(self, session: Session, observer: StoreObserver | None) -> None:
        self._session = session
        self._observer = observer
        self._listeners: list[Listener] = []
        self._post_listeners: list[PostListener] = []
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._batch: list[_Job] = []
        self._ended = anyio.Event()
        self._gate = threading.Lock()
        self._closed = ""
        self._opened = 1
        self._before = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def listen(self, listener: Listener) -> None:
        """Have `listener` called on the event loop after each commit that changed intents."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        """Call `listener` no longer."""
        self._listeners.remove(listener)

    def listen_to_posts(self, listener: PostListener) -> None:
        """Have `listener` called on the event loop after each commit that may have posted messages."""
        self._post_listeners.append(listener)

    def healthy(self) -> bool:
        """Whether the thread lives and takes operations."""
        return not self._closed and self._thread.is_alive()

    async def end(self) -> str:
        """Return why the thread takes no more operations, once it has ended."""
        await self._ended.wait()
        return self._closed

    @property
    def backlog(self) -> int:
        """How many operations wait."""
        return self._queue.qsize()

    async def submit(self, operation: Callable[[Session], T]) -> T:
        """Run the operation and return its answer once it is committed and synced.

        Raises StoreError when it could not be kept. A caller that is cancelled meanwhile does not undo it.
        """
        job = _Job(operation, self._loop.create_future())
        with self._gate:
            if self._closed:
                raise StoreError(self._closed)
            self._queue.put(job)
        answer: T = await job.future
        return answer

    async def close(self) -> None:
        """Finish what is queued, then close the connection."""
        with self._gate:
            if not self._closed:
                self._closed = "the store is closed"
                self._queue.put(None)
        await anyio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        try:
            while self._collect():
                self._reply(self._commit(self._batch))
        except Ended as error:
            with self._gate:
                self._closed = str(error)
        finally:
            self._give_up()
            self._session.connection.close()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._ended.set)

    def _collect(self) -> bool:
        """Wait for one operation and take what else is queued; false when the thread is to end."""
        job = self._queue.get()
        self._batch = batch = [] if job is None else [job]
        while job is not None and len(batch) < GROUP:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is not None:
                batch.append(job)
        if job is None and batch:
            self._queue.put(None)  # end with the next turn, after these are answered
        return bool(batch)

    def _commit(self, batch: Sequence[_Job]) -> _Committed:
        session, connection = self._session, self._session.connection
        started = session.clock.monotonic()
        answers: list[Any]
        kept = False
        try:
            answers = self._run_all([job.operation for job in batch])
            connection.execute("COMMIT")
            session.kept()
            kept = True
        except REFUSED as error:
            if isinstance(error, Ended):
                raise
            if may_be_kept(connection):
                session.left_undecided()
            self._roll_back()
            answers = [refused(error) for _ in batch]
        seconds = session.clock.monotonic() - started
        wrote = kept and connection.total_changes > self._before
        posted = frozenset(session.posted)
        return _Committed(batch, answers, tuple(session.changed), wrote, seconds, session.delivery, posted)

    def _run_all(self, operations: Sequence[Operation]) -> list[Any]:
        """Run them in a transaction that is left open."""
        session = self._session
        self._begin()
        try:
            answers = run_in_a_row(session, operations)
            event_rows.write(session)
        except REFUSED as error:
            if not session.connection.in_transaction:
                raise  # the engine has rolled back everything: whatever is wrong is not one operation's
            session.connection.execute("ROLLBACK")
            session.forget_after_rollback()
            self._begin()
            answers = run_apart(session, operations) if len(operations) > 1 else [refused(error)]
            event_rows.write(session)
        return answers

    def _begin(self) -> None:
        self._session.begin_anew()
        opened = begin_writing(self._session.connection)
        self._before = self._session.connection.total_changes
        if opened != self._opened:
            # Where a standby took over, numbers given out just before may be lost.
            self._opened = opened
            self._session.forget_after_rollback()
        release_stray(self._session)

    def _roll_back(self) -> None:
        # A rollback that fails too leaves the transaction open: the next BEGIN fails and leads here again.
        with suppress(*REFUSED):
            if self._session.connection.in_transaction:
                self._session.connection.execute("ROLLBACK")
        self._session.forget_after_rollback()

    def _reply(self, committed: _Committed) -> None:
        self._batch = []
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver, committed)

    def _deliver(self, committed: _Committed) -> None:
        for job, answer in zip(committed.batch, committed.answers, strict=True):
            if job.future.done():
                continue
            if isinstance(answer, Refused):
                job.future.set_exception(answer.error)
            else:
                job.future.set_result(answer)
        if self._observer is not None and committed.wrote:
            self._observer.committed(committed.seconds, len(committed.batch), committed.delivery)
        if committed.changed:
            for listener in tuple(self._listeners):
                listener(committed.changed)
        if committed.posted:
            for told in tuple(self._post_listeners):
                told(committed.posted)

    def _give_up(self) -> None:
        """Refuse everything that waits or comes; after an orderly close nothing waits."""
        with self._gate:
            self._closed = self._closed or "the store's writer thread has died"
            pending = list(self._batch)
            with suppress(Empty):
                while True:
                    job = self._queue.get_nowait()
                    pending.extend([job] if job is not None else [])
        if pending:
            answers = [Refused(StoreError(self._closed)) for _ in pending]
            self._reply(_Committed(pending, answers, (), wrote=False, seconds=0.0))
