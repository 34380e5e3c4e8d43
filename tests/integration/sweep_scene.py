"""A store that knows what a replica holds, and comparisons of a primary with it."""

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from replicator.clock import SystemClock
from replicator.model import Change, ChangeKind, Digest, Repository, Tag
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import RegistryClient, open_registry
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.encoding import pack_digest, pack_reference
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from replicator.store.sweeps import Sweeps
from replicator.sweep.examine import Finder, Sight
from tests.support.fake_clock import FakeClock

CLEAN = """INSERT INTO intent (replica, repository_id, reference, generation, observed_generation, have_digest,
    priority, policy_id, lease_epoch, lease_until, attempts, parked, deadline_missed, looks)
    VALUES ('eu', ?, ?, 1, 1, ?, 1, ?, 0, 0, 0, 0, 0, 0)"""


class Hasty(FakeClock):
    """A clock on which a pause is over at once."""

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self.advance(max(0.0, seconds))


@dataclass
class Compared:
    """A primary, one of its repositories, and what the store knows of it."""

    client: RegistryClient
    repository: Repository
    sight: Sight
    store: SqliteStore
    router: Router

    async def knows(self, held: Mapping[Tag, Digest]) -> None:
        """Have the store know that the replica holds these tags."""
        await self.store.submit(partial(self._fill, held=held))

    async def differences(self) -> dict[str, str]:
        """Compare all digests and return the tags that differ, with the kind of difference."""
        found = Finder(self.sight).find(self.repository, self.sight.clock.now(), compared=True, digests=True)
        return {str(one.key.reference): one.kind.value async for part in found for one in part.differences}

    def _fill(self, session: Session, *, held: Mapping[Tag, Digest]) -> None:
        change = Change(kind=ChangeKind.PUSH, repository=self.repository, reference=Tag("any"))
        (fingerprint,) = {one.fingerprint for one in self.router.route(change, 0.0)}
        repository, policy = session.repository(self.repository), session.policy(fingerprint)
        rows = [(repository, pack_reference(tag), pack_digest(digest), policy) for tag, digest in held.items()]
        assert isinstance(session.connection, sqlite3.Connection)
        session.connection.executemany(CLEAN, rows)


@asynccontextmanager
async def comparing(folder: Path, primary: Mapping[str, Any], repository: Repository) -> AsyncIterator[Compared]:
    """Open a primary with these settings, and a store that knows nothing yet."""
    replicas = [{"name": "eu", "url": "http://nowhere.example.com"}]
    settings = Settings.model_validate({"version": 1, "primary": primary, "replicas": replicas})
    metrics = Metrics(Scope(replicas=("eu",), sweep_full_every=86400.0), clock=SystemClock())
    store = await SqliteStore.open(folder / "replicator.db", clock=SystemClock())
    router = Router(settings)
    try:
        async with open_registry(settings.primary, clock=SystemClock(), environ={}) as client:
            sight = Sight(
                primary=client,
                known=Sweeps(store),
                routes=router,
                replicas=("eu",),
                counts=metrics.sweeps,
                clock=Hasty(),
            )
            yield Compared(client, repository, sight, store, router)
    finally:
        await store.close()
