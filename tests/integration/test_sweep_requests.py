"""What sweeps ask of a registry of very many repositories, counted where it is asked; replicas are asked nothing."""

import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from replicator.clock import SystemClock
from replicator.model import Change, ChangeKind, Digest, Reference, Repository
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.listing import TagList
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.encoding import pack_digest, pack_reference
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from replicator.store.sweeps import Sweeps
from replicator.sweep.activity import Activity
from replicator.sweep.examine import Means
from replicator.sweep.ports import Primary
from replicator.sweep.repositories import Chosen
from replicator.sweep.schedule import Rhythm
from replicator.sweep.sweeper import Sweeper
from tests.integration.sweep_scene import CLEAN, Hasty
from tests.support.crowded import Crowded, names, repository_name, run_crowded, tag_name


@dataclass
class Scene:
    """A crowded registry, a store that knows all of it or nothing, and sweeps between them."""

    registry: Crowded
    client: RegistryClient
    store: SqliteStore
    settings: Settings
    metrics: Metrics

    @property
    def sweeps(self) -> Sweeps:
        """Where they stand."""
        return Sweeps(self.store)

    def sweeper(self, primary: Primary | None = None) -> Sweeper:
        """Return a sweeper, as after a start; of another view of the registry."""
        router = Router(self.settings)
        means = Means(
            primary=primary or self.client,
            sweeps=self.sweeps,
            sink=self.store,
            routes=router,
            scope=router.scope,
            replicas=("eu",),
            counts=self.metrics.sweeps,
            updates=self.metrics,
            clock=Hasty(),
        )
        rhythm = Rhythm(every=3600.0, full_every=86400.0)
        activity = Activity(means.clock.now())
        return Sweeper(means, chosen=Chosen((), router), rhythm=rhythm, activity=activity, rng=random.Random(1))

    async def fill(self) -> None:
        """Have the store know that the replica holds everything."""
        change = Change(kind=ChangeKind.PUSH, repository=repository_name(0), reference=tag_name(0))
        (fingerprint,) = {one.fingerprint for one in Router(self.settings).route(change, 0.0)}
        for number in range(self.registry.repositories):
            await self.store.submit(partial(self._fill, number=number, fingerprint=fingerprint))

    def _fill(self, session: Session, *, number: int, fingerprint: str) -> None:
        repository, policy = session.repository(repository_name(number)), session.policy(fingerprint)

        def rows() -> Iterator[tuple[Any, ...]]:
            for tag in range(self.registry.tags):
                yield repository, pack_reference(tag_name(tag)), pack_digest(names(number, tag)), policy

        assert isinstance(session.connection, sqlite3.Connection)
        session.connection.executemany(CLEAN, rows())


class Crashing:
    """The registry, but that a bug is met at one of its repositories."""

    def __init__(self, client: RegistryClient, at: Repository) -> None:
        self._client = client
        self._at = at

    @property
    def name(self) -> str:
        """See Primary."""
        return self._client.name

    def repositories(self) -> AsyncIterator[Repository]:
        """See Primary."""
        return self._client.repositories()

    async def all_tags(self, repository: Repository, *, digests: bool = False) -> TagList:
        """See Primary."""
        if repository == self._at:
            raise RuntimeError("a bug")
        return await self._client.all_tags(repository, digests=digests)

    async def named(self, repository: Repository, reference: Reference, known: Digest) -> Digest | None:
        """See Primary."""
        return await self._client.named(repository, reference, known)


async def whole(sweeper: Sweeper) -> None:
    """Compare until nothing is due."""
    while await sweeper.turn() == 0:
        pass


@asynccontextmanager
async def scene(folder: Path, repositories: int, tags: int) -> AsyncIterator[Scene]:
    async with run_crowded(repositories, tags) as registry:
        settings = Settings.model_validate(
            {
                "version": 1,
                "primary": {"url": registry.url},
                "replicas": [{"name": "eu", "url": "http://nowhere.example.com"}],
            }
        )
        metrics = Metrics(Scope(replicas=("eu",), sweep_full_every=86400.0), clock=SystemClock())
        store = await SqliteStore.open(folder / "replicator.db", clock=SystemClock())
        client = open_registry(settings.primary, clock=SystemClock())
        try:
            yield Scene(registry, client, store, settings, metrics)
        finally:
            await client.close()
            await store.close()


async def passes(folder: Path, repositories: int, tags: int) -> None:
    """Compare all digests, then all tags; memory must not follow the number of repositories."""
    async with scene(folder, repositories, tags) as here:
        await here.fill()
        asked, total, process = here.registry.asked, repositories * tags, psutil.Process()
        sweeper = here.sweeper()
        await sweeper.turn()
        before = process.memory_info().rss
        await whole(sweeper)
        grown = process.memory_info().rss - before
        print(f"{repositories} x {tags}: all digests by {asked}, {grown >> 10} KiB more memory")
        assert asked["200"] == 0, "Distribution tells of a pull for each of these"
        assert asked["304"] == total
        assert asked.total() <= total + 1.02 * repositories, "at 100 tags that is 1.02 for each of them at most"
        assert grown < 24 << 20
        asked.clear()
        await here.sweeps.no_later(0.0)
        await whole(here.sweeper())
        print(f"{repositories} x {tags}: all tags by {asked}")
        assert repositories <= asked.total() <= 1.2 * repositories
        assert asked["304"] == asked["200"] == 0
        assert (await here.store.summary()).replica("eu").owed == 0


async def test_a_pass_over_what_is_known_asks_once_for_each_list_and_each_tag(tmp_path: Path) -> None:
    await passes(tmp_path, 100, 20)


@pytest.mark.prove
async def test_ten_thousand_repositories_of_a_hundred_tags_are_compared_in_flat_memory(tmp_path: Path) -> None:
    await passes(tmp_path, 10_000, 100)


async def test_what_nothing_is_known_of_is_not_asked_for_by_digest(tmp_path: Path) -> None:
    """At Distribution each such request would come back as an event, ahead of pushes."""
    async with scene(tmp_path, 30, 20) as here:
        await whole(here.sweeper())
        assert here.registry.asked == {"catalog": 1, "tags": 30}
        found = (await here.store.summary()).replica("eu")
        assert (found.owed, found.backfill, found.since) == (600, 600, None)


async def test_a_tag_that_moved_untold_is_found_by_its_digest(tmp_path: Path) -> None:
    async with scene(tmp_path, 3, 20) as here:
        await here.fill()
        here.registry.moved[1, 7] = Digest("sha256", "f" * 64)
        sweeper = here.sweeper()
        await sweeper.turn()
        assert here.registry.asked["200"] == 1
        rows = await here.store.rows(parked=False)
        assert [(one.key.repository, one.key.reference, one.want) for one in rows] == [
            (repository_name(1), tag_name(7), Digest("sha256", "f" * 64))
        ]


async def test_a_long_repository_goes_on_where_a_former_life_stopped(tmp_path: Path) -> None:
    async with scene(tmp_path, 1, 500) as here:
        await here.fill()
        here.registry.patience = 250
        await here.sweeper().turn()
        swept = await here.sweeps.one(repository_name(0))
        assert swept is not None
        assert (swept.progress, swept.full_at, swept.failures) == (tag_name(199), None, 1)
        here.registry.patience = None
        here.registry.asked.clear()
        await whole(here.sweeper())
        assert here.registry.asked["304"] == 300
        whole_at = await here.sweeps.one(repository_name(0))
        assert whole_at is not None
        assert (whole_at.progress, whole_at.full_at) == (None, swept.full_began_at)


async def test_a_bug_that_is_met_at_one_repository_keeps_no_other_from_being_compared(tmp_path: Path) -> None:
    async with scene(tmp_path, 40, 2) as here:
        await whole(here.sweeper(Crashing(here.client, repository_name(0))))
        found = [await here.sweeps.one(repository_name(number)) for number in range(40)]
        assert [one is not None and one.swept_at is not None for one in found] == [False] + [True] * 39
        assert found[0] is not None
        assert found[0].failures > 0
