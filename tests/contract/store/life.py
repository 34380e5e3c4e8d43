"""What the contract of the store is told in: a store over its restarts, a few keys, and the usual steps."""

import random
from pathlib import Path

from replicator.errors import Reason
from replicator.model import Digest, Intent, IntentKey, Lease, Priority, Repository, Tag
from replicator.store.outcome import Done, Parked, Result, Retry
from replicator.store.postgres import PostgresStore
from replicator.store.postgres_place import Place
from replicator.store.sqlite import SqliteStore
from replicator.store.store import Store
from tests.support.fake_clock import FakeClock

ENGINES = ("sqlite", "postgres")

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))
REPOSITORY = Repository("team/app")
TAG = IntentKey("eu", REPOSITORY, Tag("v1"))
CHILD = IntentKey("eu", REPOSITORY, C)


class Life:
    """One store over its restarts, on a clock that the test moves."""

    def __init__(self, directory: Path, url: str = "") -> None:
        """Live in a directory, or where the URL says, in a schema of PostgreSQL that exists."""
        self.clock = FakeClock()
        self._url = url
        self._directory = directory
        self._store: Store | None = None

    async def start(self) -> Store:
        """Open the store, closing it first if it was open."""
        await self.stop()
        self._store = store = await self._open()
        return store

    async def _open(self) -> Store:
        if self._url:
            return await PostgresStore.open(Place(self._url), clock=self.clock, rng=random.Random(1))
        return await SqliteStore.open(self._directory / "state" / "replicator.db", clock=self.clock)

    async def stop(self) -> None:
        """Close the store if it is open."""
        if self._store is not None:
            await self._store.close()
            self._store = None

    def intent(
        self,
        key: IntentKey = TAG,
        digest: Digest | None = A,
        *,
        wait: float = 0.0,
        priority: Priority = Priority.NORMAL,
        fingerprint: str = "policy",
        delivery: str = "",
    ) -> Intent:
        """Return an intent of a change that happens now."""
        now = self.clock.now()
        return Intent(
            key=key,
            digest=digest,
            since=now,
            due_at=now + wait,
            priority=priority,
            fingerprint=fingerprint,
            delivery=delivery,
        )


async def leased(store: Store, key: IntentKey = TAG, seconds: float = 60.0) -> Lease:
    """Lease exactly the row of `key`."""
    (lease,) = await store.lease(key.replica, 1, seconds)
    assert lease.key == key
    return lease


async def copied(store: Store, life: Life, digest: Digest = A, key: IntentKey = TAG) -> None:
    """Record a change and settle it."""
    await store.record([life.intent(key, digest)])
    assert await store.settle(await leased(store, key), Done(result=Result.COPIED, digest=digest))


def failed(life: Life, seconds: float = 10.0, *, wrote: bool = False) -> Retry:
    """Return a failure that is tried again in `seconds`."""
    return Retry(at=life.clock.now() + seconds, reason=Reason.NETWORK, message="no answer", wrote=wrote)


def parked(life: Life, seconds: float = 3600.0) -> Parked:
    """Return a failure that only an operator or time can mend."""
    return Parked(at=life.clock.now() + seconds, reason=Reason.AUTH, message="denied")
