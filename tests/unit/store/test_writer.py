"""The writer thread: commits are shared, failures are not, and its death is noticed."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from replicator.errors import StoreError
from replicator.model import Digest, Intent, IntentKey, Recorded, Repository, Tag
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from replicator.store.writer import BACKLOG, Writer
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock


class Commits:
    """Remembers what the observer is told."""

    def __init__(self) -> None:
        self.operations: list[int] = []
        self.seconds: list[float] = []
        self.deliveries: list[str] = []

    def committed(self, seconds: float, operations: int, delivery: str = "") -> None:
        """See StoreObserver."""
        self.seconds.append(seconds)
        self.operations.append(operations)
        self.deliveries.append(delivery)


def change(name: str) -> Intent:
    key = IntentKey("eu", Repository("team/app"), Tag(name))
    return Intent(key=key, digest=Digest.of(name.encode()), since=1.0, due_at=1.0)


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
async def store(tmp_path: Path, commits: Commits) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "replicator.db", clock=FakeClock(), observer=commits)
    yield store
    await store.close()


async def test_senders_who_come_together_share_commits(store: SqliteStore, commits: Commits) -> None:
    async def send(number: int) -> None:
        for turn in range(20):
            assert await store.record([change(f"t{number}-{turn}")]) == (Recorded.ACCEPTED,)

    await asyncio.gather(*(send(number) for number in range(64)))
    assert sum(commits.operations) == 64 * 20
    assert len(commits.operations) < 64 * 20 / 8


async def test_a_lone_sender_waits_for_nobody(store: SqliteStore, commits: Commits) -> None:
    for number in range(5):
        await store.record([change(f"t{number}")])
    assert commits.operations == [1] * 5


async def test_what_changes_nothing_is_no_commit(store: SqliteStore, commits: Commits) -> None:
    await store.tick()
    assert await store.lease("eu", 5, 60) == ()
    assert commits.operations == []


async def test_an_operation_that_fails_takes_no_other_with_it(store: SqliteStore) -> None:
    impossible = Intent(key=change("bad").key, digest=None, since=float("nan"), due_at=0.0)
    answers = await asyncio.gather(
        *(store.record([change(f"t{number}"), *([impossible] if number % 3 == 0 else [])]) for number in range(12)),
        return_exceptions=True,
    )
    assert [isinstance(answer, StoreError) for answer in answers] == [number % 3 == 0 for number in range(12)]
    kept = {str(row.key.reference) for row in await store.rows()}
    assert kept == {f"t{number}" for number in range(12) if number % 3}


async def test_what_fails_alone_is_no_commit(store: SqliteStore, commits: Commits) -> None:
    impossible = Intent(key=change("bad").key, digest=None, since=float("nan"), due_at=0.0)
    with pytest.raises(StoreError):
        await store.record([change("good"), impossible])
    assert (commits.operations, await store.rows()) == ([], ())


async def test_a_repository_first_named_by_a_failed_operation_is_known_to_the_next(store: SqliteStore) -> None:
    """The number it was given is rolled back with it and must not be remembered."""
    key = IntentKey("eu", Repository("new/repository"), Tag("v1"))
    impossible = Intent(key=key, digest=None, since=float("nan"), due_at=0.0)
    good = Intent(key=key, digest=None, since=1.0, due_at=1.0)
    first, second = await asyncio.gather(store.record([impossible]), store.record([good]), return_exceptions=True)
    assert isinstance(first, StoreError)
    assert second == (Recorded.ACCEPTED,)
    assert await store.row(key) is not None


async def test_values_no_database_can_hold_are_refused_and_the_thread_lives(store: SqliteStore) -> None:
    unkeepable = Intent(key=change("t").key, digest=None, since=1.0, due_at=1.0, fingerprint="\ud800")
    with pytest.raises(StoreError):
        await store.record([unkeepable])
    assert store.healthy()
    await store.tick()


async def test_a_caller_who_leaves_undoes_nothing_and_stops_nobody(store: SqliteStore) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(store.record, [change("left")])
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert await store.record([change("stayed")]) == (Recorded.ACCEPTED,)
    assert {row.key.reference for row in await store.rows()} == {"left", "stayed"}


async def test_answers_queued_before_the_close_are_given(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "other" / "replicator.db", clock=FakeClock())
    waiting = [asyncio.ensure_future(store.record([change(f"t{number}")])) for number in range(1000)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*waiting) == [(Recorded.ACCEPTED,)] * 1000


async def test_more_waiting_changes_than_the_bound_are_refused(tmp_path: Path) -> None:
    class StuckClock(FakeClock):
        """A clock at which the writer thread stops, as it does at a disk that stalls."""

        def __init__(self) -> None:
            super().__init__()
            self.stuck = threading.Event()
            self.go_on = threading.Event()

        def monotonic(self) -> float:
            if threading.current_thread().name == "store-writer":
                self.stuck.set()
                assert self.go_on.wait(60)
            return super().monotonic()

    clock = StuckClock()
    store = await SqliteStore.open(tmp_path / "replicator.db", clock=clock)
    try:
        waiting = [asyncio.ensure_future(store.record([change("t")]))]
        await eventually(clock.stuck.is_set, what="the writer thread is stuck")
        waiting += [asyncio.ensure_future(store.record([change("t")])) for _ in range(BACKLOG)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="wait for the disk"):
            await store.record([change("one too many")])
    finally:
        clock.go_on.set()
    assert await asyncio.gather(*waiting) == [(Recorded.ACCEPTED,)] + [(Recorded.COALESCED,)] * BACKLOG
    await store.close()


class DeadlyClock(FakeClock):
    """Ends the writer thread when it next looks at the time."""

    def __init__(self) -> None:
        super().__init__()
        self.armed = False

    def monotonic(self) -> float:
        if self.armed and threading.current_thread().name == "store-writer":
            raise SystemExit
        return super().monotonic()


@pytest.mark.filterwarnings("ignore:Exception in thread store-writer")
async def test_a_dead_writer_thread_is_noticed_by_every_call(tmp_path: Path) -> None:
    clock = DeadlyClock()
    store = await SqliteStore.open(tmp_path / "replicator.db", clock=clock)
    assert store.healthy()
    clock.armed = True
    waiting = [store.record([change(f"t{number}")]) for number in range(3)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["the store's writer thread has died"] * 3
    assert not store.healthy()
    calls: list[Callable[[], Awaitable[object]]] = [
        store.tick,
        store.summary,
        lambda: store.record([change("t")]),
        lambda: store.lease("eu", 1, 60),
        lambda: store.next_due("eu"),
        lambda: store.row(change("t").key),
    ]
    for call in calls:
        with pytest.raises(StoreError):
            await call()
    assert not await store.writable()
    await store.close()
    clock.armed = False
    again = await SqliteStore.open(tmp_path / "replicator.db", clock=clock)
    assert await again.rows() == ()
    await again.close()


async def test_when_the_engine_itself_rolls_back_all_who_shared_the_commit_are_told(commits: Commits) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE kept (name TEXT)")
    writer = Writer(Session(connection, FakeClock(), "test"), commits)

    def keep(session: Session) -> None:
        session.connection.execute("INSERT INTO kept VALUES ('x')")

    def roll_back(session: Session) -> None:
        session.connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    answers = await asyncio.gather(
        writer.submit(keep), writer.submit(roll_back), writer.submit(keep), return_exceptions=True
    )
    assert all(isinstance(answer, StoreError) for answer in answers)
    await writer.submit(keep)
    counted = await writer.submit(lambda session: session.connection.execute("SELECT count(*) FROM kept").fetchone())
    assert counted == (1,)
    await writer.close()
